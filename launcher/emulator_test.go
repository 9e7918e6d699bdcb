package launcher

import (
	"strings"
	"testing"
	"testing/fstest"
)

// Handlers as the kernel prints them: those of qemu, one of wine's and one by a file's name.
func TestEmulator(t *testing.T) {
	const (
		aarch64 = "offset 0\nmagic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
		arm     = "offset 0\nmagic 7f454c4601010100000000000000000002002800\nmask ffffffffffffff00fffffffffffffffffeffffff\n"
		s390x   = "offset 0\nmagic 7f454c4602020100000000000000000000020016\nmask ffffffffffffff00fffffffffffffffffffeffff\n"
		dos     = "offset 0\nmagic 4d5a\n"
		jar     = "extension .jar\n"
		late    = "offset 18\nmagic b700\n"
	)
	handler := func(state, flags, magic string) string {
		return state + "\ninterpreter /usr/bin/qemu\nflags: " + flags + "\n" + magic
	}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		arch    string
		handler string
		fixed   bool
	}{
		{name: "nothing", arch: "arm64"},
		{"qemu", map[string]string{"dos": handler("enabled", "", dos), "jar": handler("enabled", "F", jar), "qemu-aarch64": handler("enabled", "OCF", aarch64)}, "arm64", "qemu-aarch64", true},
		{"of another architecture", map[string]string{"qemu-arm": handler("enabled", "F", arm), "qemu-s390x": handler("enabled", "F", s390x)}, "arm64", "", false},
		{"of 32 bits", map[string]string{"qemu-aarch64": handler("enabled", "F", aarch64), "qemu-arm": handler("enabled", "F", arm)}, "arm", "qemu-arm", true},
		{"of the other byte order", map[string]string{"qemu-s390x": handler("enabled", "F", s390x)}, "s390x", "qemu-s390x", true},
		{"without F", map[string]string{"qemu-aarch64": handler("enabled", "OC", aarch64)}, "arm64", "qemu-aarch64", false},
		{"one with F behind one without", map[string]string{"a": handler("enabled", "", aarch64), "b": handler("enabled", "F", aarch64)}, "arm64", "b", true},
		{"switched off", map[string]string{"qemu-aarch64": handler("disabled", "F", aarch64)}, "arm64", "", false},
		{"all switched off", map[string]string{"status": "disabled\n", "qemu-aarch64": handler("enabled", "F", aarch64)}, "arm64", "", false},
		{"a part of the header", map[string]string{"x": handler("enabled", "F", late)}, "arm64", "x", true},
		{"an unknown architecture", map[string]string{"qemu-aarch64": handler("enabled", "F", aarch64)}, "mips", "", false},
		{"no handler's text", map[string]string{"x": "enabled\nmagic zz\n", "y": "enabled\noffset -3\nmagic 7f\n", "z": "enabled\noffset 19\nmagic 0000\n"}, "arm64", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := fstest.MapFS{"status": {Data: []byte("enabled\n")}, "register": {}}
			for name, text := range tt.files {
				dir[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if handler, fixed := emulator(dir, tt.arch); handler != tt.handler || fixed != tt.fixed {
				t.Errorf("emulator() = %q, %v; want %q, %v", handler, fixed, tt.handler, tt.fixed)
			}
		})
	}
}

func FuzzHandles(f *testing.F) {
	f.Add("enabled\nflags: F\noffset 0\nmagic 7f45\nmask ff\n", "7f454c46")
	f.Fuzz(func(t *testing.T, text, header string) {
		if handles(text, []byte(header)) && !strings.HasPrefix(text, "enabled\n") {
			t.Errorf("%q handles %q", text, header)
		}
	})
}
