package message_test

import (
	"errors"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/message/messagetest"
)

type inner struct {
	Name string
	List []string
	Yes  bool
}

type all struct {
	Text   string
	Number int
	Large  uint64
	Long   int64
	Yes    bool
	Words  []string
	Parts  []inner
	One    inner
}

func (*all) Kind() string { return "all" }

type other struct{}

func (*other) Kind() string { return "other" }

type bad struct{ Number float64 }

func (*bad) Kind() string { return "bad" }

func TestRoundTrip(t *testing.T) { messagetest.RoundTrip(t, &all{}) }

func TestErrors(t *testing.T) {
	if _, err := message.Pack(&all{Words: []string{"a\x00b"}}); !errors.Is(err, message.ErrNUL) {
		t.Errorf("a NUL byte: %v", err)
	}
	if _, err := message.Pack(&bad{}); err == nil {
		t.Error("a number with a fraction was packed")
	}
	raw, err := message.Pack(&all{Words: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range raw {
		if err := message.Unpack(raw[:n], &all{}); !errors.As(err, new(message.DamagedError)) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if err := message.Unpack(append(raw, 0), &all{}); err == nil {
		t.Error("a word too many was read")
	}
	if err := message.Unpack(raw, &other{}); err == nil || err.Error() != "the other is damaged" {
		t.Errorf("another kind: %v", err)
	}
}

// A message arrives with its descriptors, through a socket and through memory.
func TestTransport(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sent, got := all{Text: "x", Words: []string{""}}, all{}
	if err := message.Send(pair[0], &sent, 0, 1); err != nil {
		t.Fatal(err)
	}
	fds, err := message.Receive(pair[1], &got)
	if err != nil || len(fds) != 2 || !reflect.DeepEqual(sent, got) {
		t.Errorf("received %+v with %v, %v; want %+v with two", got, fds, err, sent)
	}
	message.CloseAll(append(fds, pair[0]))
	if _, err := message.Receive(pair[1], &got); !errors.Is(err, message.ErrClosed) {
		t.Errorf("the other end is closed: %v", err)
	}
	message.AwaitEnd(pair[1])
	raw, err := message.Pack(&sent)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := message.Memory(raw)
	if err != nil {
		t.Fatal(err)
	}
	got = all{}
	if err := message.FromMemory(fd, &got); err != nil || !reflect.DeepEqual(sent, got) {
		t.Errorf("read %+v from memory, %v; want %+v", got, err, sent)
	}
}

func FuzzUnpack(f *testing.F) { messagetest.Fuzz(f, func() message.Message { return &all{} }) }
