package native

import (
	"encoding/hex"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
	"github.com/hpc3-project/hpc3/launcher/run/serve"
)

// newMark returns a name that no other container has. The number of a namespace does not do: the
// kernel gives it to another one as soon as the namespace has ended.
func newMark() (string, error) {
	var raw [8]byte
	if _, err := unix.Getrandom(raw[:], 0); err != nil {
		return "", os.NewSyscallError("getrandom", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// sayComplete tells the file server, on behalf of the maker, that other tasks may come in: the
// number of the mount namespace, and the container's mark. A server that lets none in does not
// listen.
func sayComplete(sock, mount int, mark string) {
	var ns unix.Stat_t
	if unix.Fstat(mount, &ns) == nil {
		_ = message.Send(sock, &serve.Complete{Inode: ns.Ino, Mark: mark})
	}
}
