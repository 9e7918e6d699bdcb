package native

import (
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// A sysctl that forbids user namespaces, or makes them useless.
type sysctl struct{ file, bad, cure string }

var sysctls = []sysctl{ //nolint:gochecknoglobals // a constant table
	{"user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"},
	{"kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
	{
		"kernel/apparmor_restrict_unprivileged_userns", "1",
		"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile for hpc3-run that allows userns",
	},
}

// namespaceHints say which settings of this node prevent user namespaces.
func namespaceHints() []string {
	var hints []string
	for _, s := range sysctls {
		raw, err := os.ReadFile("/proc/sys/" + s.file)
		if err == nil && strings.TrimSpace(string(raw)) == s.bad {
			hints = append(hints, "as root: "+s.cure)
		}
	}
	return hints
}

// checkNamespaces returns an error if user namespaces certainly cannot be made, before anything is
// started.
func checkNamespaces() error {
	if CanMount() {
		return nil
	}
	raw, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil || strings.TrimSpace(string(raw)) != "0" {
		return nil
	}
	return withHints(fault.New(fault.Engine, "making a user namespace: this node allows none"),
		namespaceHints())
}

func withHints(e *fault.Error, hints []string) error {
	for _, h := range hints {
		e = e.Hint("%s", h)
	}
	return e.Hint("or use Apptainer, where it is installed with its setuid starter")
}
