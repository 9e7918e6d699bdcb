package inside

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/device"
)

// Bind is one mount of the container. Mounts are made in order.
type Bind struct {
	Kind     device.Kind // the zero value is a bind
	Source   string
	Target   string
	Options  []string
	Optional bool // it is skipped silently if the source does not exist
	Visible  bool // it is skipped if the target already is the same directory
	// made at exactly this path, even if a symlink of the image leads it into a directory of the
	// node
	Exact  bool
	Sealed bool // of the system; it becomes read-only once all is in it
}

// ErrNodes says that a mount point would have to be made in a file system of the node.
var ErrNodes = errors.New("it does not exist, and where it would have to be made is a directory of this node")

// Covers tells whether a bind would hide what the container cannot work without. The node's own
// /proc, /dev and /sys may be bound to their own paths: the container has them in any case.
func Covers(source, target string) bool {
	return target == "/" || slices.Contains([]string{"/proc", "/dev", "/sys"}, target) &&
		source != target
}

// CoversError returns the error about such a bind.
func CoversError(target string) error {
	return fmt.Errorf("the target is %s, without which the container would not work", target)
}
