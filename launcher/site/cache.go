package site

import (
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/hpc3-project/hpc3/launcher/fault"
)

// Cache is a directory that is searched before the user's own.
type Cache struct {
	Dir    string  `toml:"dir"`
	Owners []Owner `toml:"owners"` // whose files count, beside the caller's
	Write  bool    `toml:"write"`  // whoever can puts SIFs here of images that anyone may read
}

// Owner is a user whose files count.
type Owner struct{ UID uint32 }

// UnmarshalText reads a uid or the name of a user in /etc/passwd; no directory service is asked.
func (o *Owner) UnmarshalText(b []byte) error {
	if uid, err := strconv.ParseUint(string(b), 10, 32); err == nil {
		o.UID = uint32(uid)
		return nil
	}
	var unknown user.UnknownUserError
	u, err := user.Lookup(string(b))
	if errors.As(err, &unknown) {
		return fmt.Errorf("no user is called %q in /etc/passwd; write the number of the uid", b)
	}
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	o.UID = uint32(uid)
	return err
}

// ParseGroup reads a gid or the name of a group in /etc/group.
func ParseGroup(text string) (gid uint32, err error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return uint32(n), nil
	}
	g, err := user.LookupGroup(text)
	if errors.As(err, new(user.UnknownGroupError)) {
		return 0, fmt.Errorf(
			"no group is called %q in /etc/group; write the number of the gid", text)
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err
}

// UIDs returns the owners as numbers.
func (c Cache) UIDs() []uint32 {
	var uids []uint32
	for _, o := range c.Owners {
		uids = append(uids, o.UID)
	}
	return uids
}

func (s Site) checkCaches() error {
	for _, c := range s.Caches {
		if !filepath.IsAbs(c.Dir) {
			return fault.New(fault.Config,
				"%s: cache: dir: %q is not an absolute path", s.File, c.Dir).Hint(inManual)
		}
	}
	return nil
}
