// Package message is the codec for the messages between this program's processes. A message has a
// kind, words, and descriptors that come with it.
//
// A message is a pointer to a struct with a Kind. Its words are the fields in order, each followed
// by a NUL byte, so that every other byte arrives unchanged. A list begins with its length. All
// fields must be exported: none is skipped.
package message

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Message is a pointer to a struct of strings, numbers, booleans, structs, and lists of these.
type Message interface {
	Kind() string // unique to this kind of message
}

// ErrNUL is clearer than what the kernel would say of such a word.
var ErrNUL = errors.New("a word, a variable or a path holds a NUL byte")

// DamagedError says that the received bytes are no message of the expected kind.
type DamagedError struct{ Kind string }

func (e DamagedError) Error() string { return "the " + e.Kind + " is damaged" }

// Pack encodes a message. The only error is ErrNUL.
func Pack(m Message) ([]byte, error) {
	p := packer{}
	p.text(m.Kind())
	p.value(reflect.ValueOf(m).Elem())
	return p.raw, p.err
}

// Unpack decodes what Pack has made of a message of the same kind.
func Unpack(raw []byte, m Message) error {
	u := unpacker{rest: string(raw)}
	if u.text() != m.Kind() {
		return DamagedError{m.Kind()}
	}
	u.value(reflect.ValueOf(m).Elem())
	if u.bad || u.rest != "" {
		return DamagedError{m.Kind()}
	}
	return nil
}

type packer struct {
	raw []byte
	err error
}

func (p *packer) text(s string) {
	if strings.IndexByte(s, 0) >= 0 {
		p.err = ErrNUL
	}
	p.raw = append(append(p.raw, s...), 0)
}

func (p *packer) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		p.text(v.String())
	case reflect.Bool:
		p.text(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int64:
		p.text(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint64:
		p.text(strconv.FormatUint(v.Uint(), 10))
	case reflect.Slice:
		p.text(strconv.Itoa(v.Len()))
		for i := range v.Len() {
			p.value(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			p.value(v.Field(i))
		}
	default:
		p.err = unknown(v)
	}
}

func unknown(v reflect.Value) error { return fmt.Errorf("a message cannot hold a %s", v.Type()) }

type unpacker struct {
	rest string
	bad  bool
}

func (u *unpacker) text() string {
	s, rest, ok := strings.Cut(u.rest, "\x00")
	u.rest, u.bad = rest, u.bad || !ok
	return s
}

func (u *unpacker) value(v reflect.Value) {
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(u.text())
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(u.text())
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(u.text(), 10, 64)
		v.SetInt(n)
	case reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(u.text(), 10, 64)
		v.SetUint(n)
	case reflect.Slice:
		u.list(v)
	case reflect.Struct:
		for i := range v.NumField() {
			u.value(v.Field(i))
		}
	default:
		err = unknown(v)
	}
	u.bad = u.bad || err != nil
}

// list decodes a list. An empty one becomes nil. A length above the number of bytes left is an
// error.
func (u *unpacker) list(v reflect.Value) {
	n, err := strconv.Atoi(u.text())
	if err != nil || n < 0 || n > len(u.rest) {
		u.bad = true
		return
	}
	if n == 0 {
		v.SetZero()
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		u.value(v.Index(i))
	}
}
