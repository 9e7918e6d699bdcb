package serve

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
)

// TestNumberOfAnotherNamespace: a process whose namespace has a container's number is in that
// container only if it has its mark, since numbers are reused.
func TestNumberOfAnotherNamespace(t *testing.T) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &ns); err != nil {
		t.Fatal(err)
	}
	for mark, want := range map[string]string{" / / ": Here, ",workdir=/work-0123456789abcdef": Gone} { // every process has the first
		s := &sharer{inode: ns.Ino, mark: []byte(mark), task: os.Getpid()}
		word, fds := s.find()
		message.CloseAll(fds)
		if word != want {
			t.Errorf("%q in the list of mounts: %q, not %q", mark, word, want)
		}
	}
}
