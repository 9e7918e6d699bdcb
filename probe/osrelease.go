package probe

import (
	"github.com/hpc3-project/hpc3/probe/facts"
)

// osRelease sets the node's distribution, by os-release(5): from the file in /etc, else from the
// one in /usr/lib.
func (p *prober) osRelease() {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := readFile(p.fsys, name, maxSmall); err == nil {
			if r := facts.ParseOSRelease(text); r != (facts.OSRelease{}) {
				p.node.OSRelease = &r
			}
			return
		}
	}
}
