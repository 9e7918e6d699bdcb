package convert

import (
	"archive/tar"
	"io"
	"math"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// regular tells whether an entry is a file with content.
func regular(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives hold TypeRegA
		return true
	}
	return false
}

// file gives the writer a file of a layer.
func (f *flattener) file(h *tar.Header, data io.Reader) (*squashfs.Inode, error) {
	if h.Size > maxBytes-f.bytes {
		return nil, refuse("the image has more than %d bytes", int64(maxBytes))
	}
	f.bytes += h.Size
	inode, err := f.w.File(meta(h), h.Size, data)
	if err != nil {
		return nil, tarError(err)
	}
	return inode, nil
}

// special gives the writer a device or fifo. The device 0:0, which no driver has, would be a whiteout to overlay, under which every engine
// lays the image: it becomes an empty file, as an unprivileged unpacking makes of it.
func (f *flattener) special(h *tar.Header) (*squashfs.Inode, error) {
	if h.Typeflag == tar.TypeChar && h.Devmajor == 0 && h.Devminor == 0 {
		return f.w.File(meta(h), 0, strings.NewReader(""))
	}
	kind := squashfs.Fifo
	switch h.Typeflag {
	case tar.TypeChar:
		kind = squashfs.CharDevice
	case tar.TypeBlock:
		kind = squashfs.BlockDevice
	default:
		h.Devmajor, h.Devminor = 0, 0 // archives may hold anything there
	}
	return f.w.Special(meta(h), kind, uint32(h.Devmajor), uint32(h.Devminor)), nil
}

// Bounds of Linux: of a symlink's target (PATH_MAX), of an owner (the last number stands for none), and of a device's numbers, which
// have 12 and 20 bits.
const (
	maxTarget = 4095
	maxOwner  = math.MaxUint32 - 1
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
)

// possible refuses what no file can be.
func possible(h *tar.Header) error {
	device := h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock
	switch {
	case h.Uid < 0 || h.Uid > maxOwner || h.Gid < 0 || h.Gid > maxOwner:
		return refuse("the owner %d:%d", h.Uid, h.Gid)
	case device && (h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor):
		return refuse("the device %d:%d", h.Devmajor, h.Devminor)
	case h.Typeflag == tar.TypeSymlink && (h.Linkname == "" || len(h.Linkname) > maxTarget):
		return refuse("a symlink to a path of %d bytes", len(h.Linkname))
	}
	return nil
}

// meta returns what an inode carries.
func meta(h *tar.Header) squashfs.Meta {
	m := squashfs.Meta{Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), ModTime: h.ModTime.Unix()}
	if h.Typeflag == tar.TypeSymlink {
		m.Mode = 0o777 // as Linux has it, whatever an archive says
	}
	const prefix = "SCHILY.xattr."
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, prefix)
		if ok && keptXattr(name) {
			m.Xattrs = append(m.Xattrs, squashfs.Xattr{Name: name, Value: []byte(value)})
		}
	}
	return m
}

// keptXattr tells whether an attribute is the image's own. Those of user.overlay.* are words to an overlay that has unpacked the image
// somewhere, and would be obeyed by that of the engine: files would be hidden, or shown in another place.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.") || name == "security.capability"
}
