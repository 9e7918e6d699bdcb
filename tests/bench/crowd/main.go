// Command crowd runs a command in N processes at once, and prints when the first and the last of
// them ended and the most memory that one took. Usage: crowd [-late F] [-peak MIB] N NAME COMMAND;
// the command is run by sh -c "exec …". -late is a limit: the last may take so many times as long
// as the first. -peak is another, for the memory of each.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	late := flag.Float64("late", 0, "")
	peak := flag.Float64("peak", 0, "")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr,
			"usage: crowd [-late F] [-peak MIB] N NAME COMMAND")
	}
	flag.Parse()
	n, err := strconv.Atoi(flag.Arg(0))
	if err != nil || n < 1 || flag.NArg() != 3 {
		flag.Usage()
		os.Exit(2)
	}
	times, most, err := crowd(n, flag.Arg(2))
	if err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
	first, last := slices.Min(times), slices.Max(times)
	fmt.Printf("%-40s %8.1f ms %6.0f MiB\n", flag.Arg(1), last, most)
	if *late > 0 {
		fmt.Printf("%-40s the last at most %v times as long as the first, measured %.2f%s\n",
			"limit", *late, last/first, verdict(last/first <= *late))
	}
	if *peak > 0 {
		fmt.Printf("%-40s at most %v MiB, measured %.0f%s\n", "limit", *peak, most,
			verdict(most <= *peak))
	}
}

// crowd returns how many milliseconds after the common start each process ended, and the most
// memory of one in MiB.
func crowd(n int, command string) (times []float64, most float64, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	start := time.Now()
	for range n {
		all.Go(func() {
			cmd := exec.Command("/bin/sh", "-c", "exec "+command)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			failed := cmd.Run()
			took := float64(time.Since(start).Microseconds()) / 1000
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = fmt.Errorf("%s: %w\n%s", command, failed, stderr.Bytes())
				return
			}
			times = append(times, took)
			if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
				most = max(most, float64(usage.Maxrss)/1024)
			}
		})
	}
	all.Wait()
	return times, most, err
}

func verdict(kept bool) string {
	if kept {
		return ""
	}
	return ": MISSED"
}
