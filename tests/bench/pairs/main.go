// Command pairs measures two commands side by side: it runs them in turn, the order changing with
// each pair, and prints the median of each and of their ratio, and the most memory that each took.
//
// Usage: pairs [-cold] [-row TEXT] [-faster F | -within F] [-most MS] [-more MS] [-process MS] N
// NAME-A COMMAND-A NAME-B COMMAND-B. The commands are run by sh -c "exec …". A first pair that is
// not counted warms caches, but for -cold, for commands that take long. -row prints one line, which
// begins with TEXT. The others are limits that A must keep: -faster, to be so many times faster
// than B; -within, to take at most so many times as long; -most, to take at most so many
// milliseconds; -more, to take at most so many milliseconds more; -process, to take at most so many
// milliseconds of process time, the user's and the system's. With the last the commands are words
// and run without the shell, whose own start would count; what a command leaves running does not.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	faster := flag.Float64("faster", 0, "")
	within := flag.Float64("within", 0, "")
	most := flag.Float64("most", 0, "")
	more := flag.Float64("more", 0, "")
	process := flag.Float64("process", 0, "")
	cold := flag.Bool("cold", false, "")
	row := flag.String("row", "", "")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr,
			"usage: pairs [-cold] [-row TEXT] [-faster F | -within F] [-most MS] [-more MS] [-process MS] N NAME-A COMMAND-A NAME-B COMMAND-B")
	}
	flag.Parse()
	if flag.NArg() != 5 {
		flag.Usage()
		os.Exit(2)
	}
	n, err := strconv.Atoi(flag.Arg(0))
	if err != nil || n < 1 {
		fmt.Fprintln(os.Stderr, "pairs: N is no number")
		os.Exit(2)
	}
	start := byShell
	if *process > 0 {
		start = direct
	}
	a, b := &side{name: flag.Arg(1), command: flag.Arg(2), start: start},
		&side{name: flag.Arg(3), command: flag.Arg(4), start: start}
	if !*cold {
		err = measure(1, a, b)
		a.forget()
		b.forget()
	}
	if err == nil {
		err = measure(n, a, b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pairs:", err)
		os.Exit(1)
	}
	if *row != "" {
		reportRow(*row, a, b)
		return
	}
	report(a, b, *faster, *within)
	if *most > 0 {
		took := median(a.ms)
		fmt.Printf("%-40s at most %v ms, measured %.1f%s\n", "limit", *most, took,
			verdict(took <= *most))
	}
	if *more > 0 {
		reportMore(a, b, *more)
	}
	if *process > 0 {
		reportProcess(a, b, *process)
	}
}

// side is one of the two commands and what it cost.
type side struct {
	name, command string
	start         func(command string) *exec.Cmd
	ms, process   []float64
	peak          int64 // KiB
}

func (s *side) forget() { s.ms, s.process = nil, nil }

func byShell(command string) *exec.Cmd { return exec.Command("/bin/sh", "-c", "exec "+command) }

func direct(command string) *exec.Cmd {
	words := strings.Fields(command)
	return exec.Command(words[0], words[1:]...)
}

// measure runs n pairs.
func measure(n int, a, b *side) error {
	for i := range n {
		order := []*side{a, b}
		if i%2 == 1 {
			order = []*side{b, a}
		}
		for _, s := range order {
			if err := s.run(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *side) run() error {
	cmd := s.start(s.command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // Apptainer warns at each run
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.command, err, stderr.Bytes())
	}
	s.ms = append(s.ms, milliseconds(time.Since(start)))
	s.process = append(s.process,
		milliseconds(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.peak = max(s.peak, usage.Maxrss)
	}
	return nil
}

func report(a, b *side, faster, within float64) {
	for _, s := range []*side{a, b} {
		fmt.Printf("%-40s %8.1f ms %6.0f MiB\n", s.name, median(s.ms), float64(s.peak)/1024)
	}
	all := ratios(a.ms, b.ms)
	if faster > 0 {
		all = ratios(b.ms, a.ms)
	}
	ratio := showRatio(all)
	switch {
	case faster > 0:
		fmt.Printf("%-40s at least %v times faster, measured %.2f%s\n", "limit", faster, ratio,
			verdict(ratio >= faster))
	case within > 0:
		fmt.Printf("%-40s at most %v times as long, measured %.2f%s\n", "limit", within, ratio,
			verdict(ratio <= within))
	}
}

// reportRow prints both medians and that of the ratio in a line.
func reportRow(text string, a, b *side) {
	all := ratios(a.ms, b.ms)
	fmt.Printf("%-36s %8.1f / %8.1f ms  %6.3f   (%d pairs; %.2f to %.2f)\n", text, median(a.ms),
		median(b.ms),
		median(all), len(all), slices.Min(all), slices.Max(all))
}

func reportMore(a, b *side, limit float64) {
	all := make([]float64, len(a.ms))
	for i := range all {
		all[i] = a.ms[i] - b.ms[i]
	}
	took := median(all)
	fmt.Printf("%-40s at most %v ms more, measured %.1f%s\n", "limit", limit, took,
		verdict(took <= limit))
}

func reportProcess(a, b *side, limit float64) {
	for _, s := range []*side{a, b} {
		fmt.Printf("%-40s %8.1f ms of process time\n", s.name, median(s.process))
	}
	showRatio(ratios(a.process, b.process))
	took := median(a.process)
	fmt.Printf("%-40s at most %v ms of process time, measured %.2f%s\n", "limit", limit, took,
		verdict(took <= limit))
}

func showRatio(all []float64) float64 {
	ratio := median(all)
	fmt.Printf("%-40s %8.2f   (median of %d pairs; %.2f to %.2f)\n", "ratio", ratio, len(all),
		slices.Min(all), slices.Max(all))
	return ratio
}

// ratios returns each of a divided by its pair of b.
func ratios(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range list {
		list[i] = a[i] / b[i]
	}
	return list
}

func verdict(kept bool) string {
	if kept {
		return ""
	}
	return ": MISSED"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
