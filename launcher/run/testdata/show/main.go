// Command show is put into test images: a static program that says how it was started, one fact a
// line.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "wait" { // for a signal, and say which
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
		fmt.Println("ready", os.Getpid())
		fmt.Println((<-c).String())
		os.Exit(42)
	}
	if len(os.Args) > 2 && (os.Args[1] == "hold" || os.Args[1] == "peek") {
		if err := memory(os.Args[1], os.Args[2:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "tree" {
		if err := tree(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
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
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") ||
			strings.HasPrefix(line, "Umask") {
			fmt.Println(strings.ReplaceAll(line, "\t", " "))
		}
	}
}

// memory is two ranks: "hold FILE" writes its pid and the address of a secret to FILE and waits for
// the end of its standard input; "peek PID ADDRESS" reads the secret in that process, as MPI does
// on one node.
func memory(what string, args []string) error {
	secret := []byte(strings.Repeat("secret", 2)) // of the heap, at an address of its own
	if what == "hold" {
		text := fmt.Sprintf("%d %d\n", os.Getpid(), uintptr(unsafe.Pointer(&secret[0])))
		if err := os.WriteFile(args[0]+".new", []byte(text), 0o644); err != nil {
			return err
		}
		if err := os.Rename(args[0]+".new", args[0]); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(secret)
		return err
	}
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	address, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	found := make([]byte, len(secret))
	local := []unix.Iovec{{Base: &found[0], Len: uint64(len(found))}}
	_, err = unix.ProcessVMReadv(pid, local,
		[]unix.RemoteIovec{{Base: uintptr(address), Len: len(found)}}, 0)
	fmt.Println(string(found))
	return err
}
