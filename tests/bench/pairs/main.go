// Command pairs measures two commands side by side: it runs them in turn, the order changing with each pair, and prints the
// median of each and of their ratio. Usage: pairs [-process MS] N NAME-A COMMAND-A NAME-B COMMAND-B. The commands are run by
// sh -c "exec …". With -process, process time is measured too, the user's and the system's, and A's held against a limit; the
// commands are run without the shell then, whose own start would count, and are words. What a command leaves running does not count.
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
	"time"
)

// measurement is one run of a command, in milliseconds.
type measurement struct{ wall, process float64 }

func main() {
	limit := flag.Float64("process", 0, "limit of the first command's process time, in ms")
	flag.Parse()
	if flag.NArg() != 5 {
		fmt.Fprintln(os.Stderr, "usage: pairs [-process MS] N NAME-A COMMAND-A NAME-B COMMAND-B")
		os.Exit(2)
	}
	n, err := strconv.Atoi(flag.Arg(0))
	if err != nil || n < 1 {
		fmt.Fprintln(os.Stderr, "pairs: N is no number")
		os.Exit(2)
	}
	start := byShell
	if *limit > 0 {
		start = direct
	}
	as, bs, err := measure(n, start, flag.Arg(2), flag.Arg(4))
	if err != nil {
		fmt.Fprintln(os.Stderr, "pairs:", err)
		os.Exit(1)
	}
	show(flag.Arg(1), as, flag.Arg(3), bs, "", wallOf)
	if *limit > 0 {
		show(flag.Arg(1), as, flag.Arg(3), bs, " of process time", processOf)
		verdict := "kept"
		if median(column(as, processOf)) >= *limit {
			verdict = "exceeded"
		}
		fmt.Printf("limit %.0f ms of process time: %s\n", *limit, verdict)
	}
}

func byShell(command string) *exec.Cmd { return exec.Command("/bin/sh", "-c", "exec "+command) }

func direct(command string) *exec.Cmd {
	words := strings.Fields(command)
	return exec.Command(words[0], words[1:]...)
}

func measure(n int, start func(string) *exec.Cmd, a, b string) (as, bs []measurement, err error) {
	for i := range n + 1 {
		order := []string{a, b}
		if i%2 == 1 {
			order = []string{b, a}
		}
		cost := map[string]measurement{}
		for _, command := range order {
			if cost[command], err = run(start(command)); err != nil {
				return nil, nil, err
			}
		}
		if i == 0 {
			continue // the first pair warms caches
		}
		as, bs = append(as, cost[a]), append(bs, cost[b])
	}
	return as, bs, nil
}

func run(cmd *exec.Cmd) (measurement, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // Apptainer warns at each run
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return measurement{}, fmt.Errorf("%v: %w\n%s", cmd.Args, err, stderr.Bytes())
	}
	wall := time.Since(start)
	return measurement{milliseconds(wall), milliseconds(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())}, nil
}

func show(nameA string, as []measurement, nameB string, bs []measurement, what string, value func(measurement) float64) {
	var ratios []float64
	for i := range as {
		ratios = append(ratios, value(as[i])/value(bs[i]))
	}
	fmt.Printf("%-40s %8.1f ms%s\n%-40s %8.1f ms%s\n%-40s %8.2f   (median of %d pairs; %.2f to %.2f)\n", nameA, median(column(as, value)), what,
		nameB, median(column(bs, value)), what, "ratio", median(ratios), len(as), slices.Min(ratios), slices.Max(ratios))
}

func wallOf(m measurement) float64    { return m.wall }
func processOf(m measurement) float64 { return m.process }

func column(of []measurement, value func(measurement) float64) []float64 {
	var list []float64
	for _, m := range of {
		list = append(list, value(m))
	}
	return list
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
