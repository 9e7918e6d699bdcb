package serve

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/run/message"
)

// TestNumberOfAnotherNamespace: what has the number of a container's namespace is not in it unless
// it has its mark, as numbers are given again.
func TestNumberOfAnotherNamespace(t *testing.T) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &ns); err != nil {
		t.Fatal(err)
	}
	for mark, want := range map[string]string{" / / ": Here, ",workdir=/work-0123456789abcdef": Gone} { // the first every process has
		s := &sharer{inode: ns.Ino, mark: []byte(mark), task: os.Getpid()}
		word, fds := s.find()
		message.CloseAll(fds)
		if word != want {
			t.Errorf("%q in the list of mounts: %q, not %q", mark, word, want)
		}
	}
}
