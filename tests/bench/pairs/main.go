// Command pairs measures two commands side by side: it runs them in turn, the order changing with each pair, and prints the
// median of each and of their ratio. Usage: pairs N NAME-A COMMAND-A NAME-B COMMAND-B; the commands are run by sh -c "exec …".
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: pairs N NAME-A COMMAND-A NAME-B COMMAND-B")
		os.Exit(2)
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil || n < 1 {
		fmt.Fprintln(os.Stderr, "pairs: N is no number")
		os.Exit(2)
	}
	if err := measure(n, os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, "pairs:", err)
		os.Exit(1)
	}
}

func measure(n int, nameA, a, nameB, b string) error {
	var as, bs, ratios []float64
	for i := range n + 1 {
		order := []string{a, b}
		if i%2 == 1 {
			order = []string{b, a}
		}
		cost := map[string]float64{}
		for _, command := range order {
			ms, err := run(command)
			if err != nil {
				return err
			}
			cost[command] = ms
		}
		if i == 0 {
			continue // the first pair warms caches
		}
		as, bs, ratios = append(as, cost[a]), append(bs, cost[b]), append(ratios, cost[a]/cost[b])
	}
	fmt.Printf("%-40s %8.1f ms\n%-40s %8.1f ms\n%-40s %8.2f   (median of %d pairs; %.2f to %.2f)\n",
		nameA, median(as), nameB, median(bs), "ratio", median(ratios), n, slices.Min(ratios), slices.Max(ratios))
	return nil
}

func run(command string) (float64, error) {
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // Apptainer warns at each run
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", command, err, stderr.Bytes())
	}
	return float64(time.Since(start).Microseconds()) / 1000, nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
