package module

// isControl tells whether a character is a control character, of ASCII or of Latin-1.
func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
