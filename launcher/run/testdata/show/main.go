// Command show is put into test images: a static program that says how it was started, one fact a line.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "wait" { // for a signal, and say which
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
		fmt.Println("ready", os.Getpid())
		fmt.Println((<-c).String())
		os.Exit(42)
	}
	for i, a := range os.Args {
		fmt.Printf("arg %d %q\n", i, a)
	}
	env := os.Environ()
	slices.Sort(env)
	for _, e := range env {
		fmt.Printf("env %q\n", e)
	}
	dir, err := os.Getwd()
	fmt.Println("dir", dir, err)
	fmt.Println("id", os.Getuid(), os.Getgid())
	for fd := range 32 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil {
			link, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
			fmt.Println("fd", fd, link)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	fmt.Println("status", err)
	for line := range strings.SplitSeq(string(status), "\n") {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Umask") {
			fmt.Println(strings.ReplaceAll(line, "\t", " "))
		}
	}
}
