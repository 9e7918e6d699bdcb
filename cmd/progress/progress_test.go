package progress

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hpc3-project/hpc3/launcher/notes"
)

// clock tells a teller what time it is.
type clock struct {
	t   *Teller
	now time.Time
}

func (c *clock) after(d time.Duration, e notes.Event) {
	c.now = c.now.Add(d)
	c.t.tick(c.now, e)
}

func fetching(in int64) notes.Event {
	return notes.Event{Image: "docker.io/qnib/gromacs:2022.5", Phase: notes.Fetch, In: in, Total: 172e6}
}

func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	width := 80
	tell := New(&out, Options{Program: "hpc3-run", Width: func() int { return width }})
	c := &clock{tell, time.Unix(0, 0)}
	c.after(0, fetching(0))
	c.after(400*time.Millisecond, fetching(18e6))
	if out.Len() > 0 {
		t.Errorf("%q is told before half a second has passed", out.String())
	}
	c.after(100*time.Millisecond, fetching(22.5e6))
	if want := erase + "gromacs:2022.5: 22 of 172 MB, 45 MB/s, 4 s left"; out.String() != want {
		t.Errorf("told %q, want %q", out.String(), want)
	}
	out.Reset()
	tell.Say("a line that stays")
	if got, want := out.String(), erase+"hpc3-run: a line that stays\n"; got != want {
		t.Errorf("a line beside it is %q, want %q", got, want)
	}
	out.Reset()
	width = 30
	c.after(100*time.Millisecond, fetching(27e6))
	if got := strings.TrimPrefix(out.String(), erase); len([]rune(got)) >= width || got != "27 of 172 MB, 45 MB/s, 4 s le" {
		t.Errorf("in %d columns %q is told", width, got)
	}
	out.Reset()
	c.after(100*time.Millisecond, notes.Event{})
	if out.String() != erase {
		t.Errorf("at the end %q is told, want the line to be erased", out.String())
	}
	out.Reset()
	c.after(time.Hour, notes.Event{})
	if out.Len() > 0 {
		t.Errorf("%q is told when nothing goes on", out.String())
	}
}

func TestFile(t *testing.T) {
	var out bytes.Buffer
	c := &clock{New(&out, Options{Program: "hpc3-run"}), time.Unix(0, 0)}
	for i := range int64(16) {
		c.after(time.Second, fetching(i*10e6))
	}
	c.after(10*time.Second, notes.Event{Image: "x", Phase: notes.Wait})
	c.after(20*time.Second, notes.Event{Image: "x", Phase: notes.Wait})
	if want := "hpc3-run: docker.io/qnib/gromacs:2022.5: 100 of 172 MB (58 %), 10 MB/s, 8 s left\n"; out.String() != want {
		t.Errorf("told %q, want %q", out.String(), want)
	}
}

// A conversion that begins anew is measured anew.
func TestAnew(t *testing.T) {
	var out bytes.Buffer
	c := &clock{New(&out, Options{Width: func() int { return 0 }}), time.Unix(0, 0)}
	c.after(0, fetching(0))
	c.after(time.Second, fetching(100e6))
	c.after(time.Second, fetching(0))
	out.Reset()
	c.after(time.Second, fetching(1e6))
	if want := erase + "gromacs:2022.5: 1 of 172 MB, 1.0 MB/s, 3 min left"; out.String() != want {
		t.Errorf("told %q, want %q", out.String(), want)
	}
}

func TestDescribe(t *testing.T) {
	tests := []struct {
		name  string
		event notes.Event
		rate  float64
		want  string
	}{
		{"no speed yet", notes.Event{Phase: notes.Fetch, In: 10, Total: 100}, 0, "10 of 100 B"},
		{"going on", notes.Event{Phase: notes.Fetch, In: 54e6, Kept: 54e6, Total: 135e6}, 0, "54 of 135 MB, going on at 40 %"},
		{"further on", notes.Event{Phase: notes.Fetch, In: 95e6, Kept: 54e6, Total: 135e6}, 10e6, "95 of 135 MB, going on at 40 %, 10 MB/s, 4 s left"},
		{"small", notes.Event{Phase: notes.Fetch, In: 2500, Total: 5000}, 1000, "2.5 of 5.0 kB, 1.0 kB/s, 3 s left"},
		{"large", notes.Event{Phase: notes.Fetch, In: 1e9, Total: 12e9}, 1e6, "1 of 12 GB, 1.0 MB/s, 4 h left"},
		{"converting", notes.Event{Phase: notes.Convert, In: 172e6, Total: 172e6, Out: 9e6}, 0, "172 MB fetched, converting: 9.0 MB written"},
		{"publishing", notes.Event{Phase: notes.Publish, Out: 90e6}, 0, "90 MB written, finishing"},
		{"waiting", notes.Event{Phase: notes.Wait}, 0, "waiting for another process that converts it, 12 s"},
	}
	for _, tt := range tests {
		if got := describe(tt.event, tt.rate, 12*time.Second, false); got != tt.want {
			t.Errorf("%s: describe(%+v) = %q, want %q", tt.name, tt.event, got, tt.want)
		}
	}
}

func TestFit(t *testing.T) {
	tests := []struct {
		name, said string
		columns    int
		want       string
	}{
		{"app:1", "1 of 2 MB", 16, "app:1: 1 of 2 MB"},
		{"a-long-name:1", "1 of 2 MB", 20, "a-long-n…: 1 of 2 MB"},
		{"a-long-name:1", "1 of 2 MB", 12, "1 of 2 MB"},
		{"a-long-name:1", "1 of 2 MB", 4, "1 of"},
		{"a-long-name:1", "1 of 2 MB", -1, ""},
	}
	for _, tt := range tests {
		if got := fit(tt.name, tt.said, tt.columns); got != tt.want {
			t.Errorf("fit(%q, %q, %d) = %q, want %q", tt.name, tt.said, tt.columns, got, tt.want)
		}
	}
	digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if got, want := short("host:5000/a/app:1@"+digest), "app:1@sha256:0123456789ab"; got != want {
		t.Errorf("short = %q, want %q", got, want)
	}
}

func TestQuiet(t *testing.T) {
	var out bytes.Buffer
	tell := New(&out, Options{Quiet: true})
	tell.Watch(new(notes.Progress))
	tell.Say("x")
	tell.Note("x")
	tell.Stop()
	if out.Len() > 0 {
		t.Errorf("told %q", out.String())
	}
}

// A walk that has not begun is watched, and ends.
func TestWatch(t *testing.T) {
	var out bytes.Buffer
	tell := New(&out, Options{Program: "hpc3", Verbose: true, Width: func() int { return 80 }})
	tell.Stop()
	tell.Watch(new(notes.Progress))
	tell.Note("x")
	tell.Stop()
	tell.Stop()
	if out.String() != "hpc3: x\n" {
		t.Errorf("told %q", out.String())
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Width(f, func(string) string { return "xterm" }) != nil || Width(&bytes.Buffer{}, os.Getenv) != nil {
		t.Error("what is no terminal is taken for one")
	}
}
