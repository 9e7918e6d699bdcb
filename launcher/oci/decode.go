package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// MaxDocument bounds an index, a manifest and a config: the distribution specification lets
// registries refuse manifests over 4 MiB, and common clients do.
const MaxDocument = 4 << 20

// maxEntries bounds the lists of an index and a manifest. The largest indexes seen hold some
// hundred entries.
const maxEntries = 10_000

// members are the unparsed members of a JSON object. They are found by their exact name:
// encoding/json would accept "Layers" for "layers", and other clients would not.
type members map[string]json.RawMessage

// has reports whether a member is there and not null.
func (m members) has(name string) bool {
	raw, ok := m[name]
	return ok && kind(raw) != "null"
}

// decoder reads JSON values and keeps the first fault with its place in the document. A null counts
// as absent.
type decoder struct {
	what string // "index"
	err  error
}

// document reads raw, a whole document, as one object.
func (d *decoder) document(raw []byte) members {
	if len(raw) > MaxDocument {
		d.err = ErrUnusable.New("reading %s: it has %d bytes, the limit is %d", d.what, len(raw),
			MaxDocument)
		return nil
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		d.err = ErrUnusable.New("reading %s: it is not JSON: %s", d.what, Place(raw, err)).
			Hint("if it came from a registry, something on the way there may have answered with " +
				"a page of its own")
		return nil
	}
	return d.object("the document", raw)
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = ErrUnusable.New("reading %s: %s", d.what, fmt.Sprintf(format, args...))
	}
}

// kind names the JSON type of raw.
func kind(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// is reports whether raw has the wanted type. A null or absent value has no type; another type is a
// fault.
func (d *decoder) is(want, at string, raw json.RawMessage) bool {
	got := kind(raw)
	if got == "nothing" || got == "null" {
		return false
	}
	if got != want {
		d.fail("%s: want %s, found %s", at, want, got)
	}
	return got == want
}

// object reads an object. A duplicate member is a fault: clients differ in which one they use.
func (d *decoder) object(at string, raw json.RawMessage) members {
	raw = bytes.TrimSpace(raw)
	if !d.is("an object", at, raw) {
		return nil
	}
	m := members{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var key json.Token
		var value json.RawMessage
		if key, err = dec.Token(); err != nil {
			break
		}
		if err = dec.Decode(&value); err != nil {
			break
		}
		name, _ := key.(string)
		if _, twice := m[name]; twice {
			d.fail("%s: %q is given twice", at, name)
			return nil
		}
		m[name] = value
	}
	if err != nil {
		d.fail("%s: %v", at, err)
	}
	return m
}

func (d *decoder) text(at string, raw json.RawMessage) string {
	var s string
	if d.is("a string", at, raw) {
		d.scan(at, raw, &s)
	}
	return s
}

// number reads a whole number.
func (d *decoder) number(at string, raw json.RawMessage) int64 {
	var f json.Number
	if !d.is("a number", at, raw) {
		return 0
	}
	d.scan(at, raw, &f)
	n, err := f.Int64()
	if err != nil {
		d.fail("%s: %.40s is no whole number below %d", at, f, int64(math.MaxInt64))
	}
	return n
}

func (d *decoder) list(at string, raw json.RawMessage) []json.RawMessage {
	var list []json.RawMessage
	if d.is("a list", at, raw) {
		d.scan(at, raw, &list)
	}
	if len(list) > maxEntries {
		d.fail("%s: %d entries, the limit is %d", at, len(list), maxEntries)
		return nil
	}
	return list
}

// texts reads a list of strings, without nulls.
func (d *decoder) texts(at string, raw json.RawMessage) []string {
	var texts []string
	for i, item := range d.list(at, raw) {
		if kind(item) != "null" {
			texts = append(texts, d.text(fmt.Sprintf("%s[%d]", at, i), item))
		}
	}
	return texts
}

// pairs reads an object whose values are strings. A null value is an empty string.
func (d *decoder) pairs(at string, raw json.RawMessage) map[string]string {
	var pairs map[string]string
	for key, value := range d.object(at, raw) {
		if pairs == nil {
			pairs = map[string]string{}
		}
		pairs[key] = d.text(fmt.Sprintf("%s[%.80q]", at, key), value)
	}
	return pairs
}

func (d *decoder) scan(at string, raw json.RawMessage, into any) {
	if err := json.Unmarshal(raw, into); err != nil {
		d.fail("%s: %v", at, err)
	}
}
