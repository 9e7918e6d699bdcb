// Package messagetest checks the codec with every kind of message. Only tests import it.
package messagetest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/run/message"
)

// RoundTrip fills every field of a message, and fails if one does not arrive.
func RoundTrip(t *testing.T, m message.Message) {
	t.Helper()
	n := 0
	fill(t, reflect.ValueOf(m).Elem(), m.Kind(), &n)
	raw, err := message.Pack(m)
	if err != nil {
		t.Fatal(err)
	}
	got := fresh(m)
	if err := message.Unpack(raw, got); err != nil || !reflect.DeepEqual(m, got) {
		t.Errorf("%+v comes back as %+v, %v", m, got, err)
	}
}

// fill gives a field a value that no other field has.
func fill(t *testing.T, v reflect.Value, name string, n *int) {
	t.Helper()
	if !v.CanSet() {
		t.Fatalf("%s is not exported: it would not arrive", name)
	}
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s\n %d", name, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-1<<62 + int64(*n))
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), fmt.Sprintf("%s[%d]", name, i), n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), name+"."+v.Type().Field(i).Name, n)
		}
	default:
		t.Fatalf("%s is a %s, which a message cannot hold", name, v.Type())
	}
}

func fresh(m message.Message) message.Message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(message.Message)
}

// Fuzz decodes bytes that may be no message. What it can decode must survive a round trip.
func Fuzz(f *testing.F, empty func() message.Message) {
	f.Helper()
	raw, err := message.Pack(empty())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, again := empty(), empty()
		if message.Unpack(raw, m) != nil {
			return
		}
		packed, err := message.Pack(m)
		if err == nil {
			err = message.Unpack(packed, again)
		}
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%q is read as %+v, and that as %+v, %v", raw, m, again, err)
		}
	})
}
