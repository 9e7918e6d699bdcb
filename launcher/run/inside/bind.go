package inside

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/device"
)

// Bind is one bind. They are made in their order.
type Bind struct {
	Kind     device.Kind // a bind, unless it says otherwise
	Source   string
	Target   string
	Options  []string
	Optional bool // nothing is said where the source is not there
	Visible  bool // only where the target is not the same directory already
	// at this very path, though a symlink of the image leads it into a directory of the node
	Exact  bool
	Sealed bool // of the system: read-only once all is in it
}

// ErrNodes says that a mount point would have to be made in a file system of the node.
var ErrNodes = errors.New("it does not exist, and where it would have to be made is a directory of this node")

// Covers tells whether a bind would hide what the container cannot work without. The node's own are
// there anyhow.
func Covers(source, target string) bool {
	return target == "/" || slices.Contains([]string{"/proc", "/dev", "/sys"}, target) &&
		source != target
}

// CoversError is the error about such a bind.
func CoversError(target string) error {
	return fmt.Errorf("the target is %s, without which the container would not work", target)
}
