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
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return true
	case tar.TypeRegA: //nolint:staticcheck // old archives have it
		return true
	}
	return false
}

// file adds a file of a layer to the file system.
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

// special adds a device or fifo to the file system. The device 0:0 belongs to no driver, but is a
// whiteout to overlay, which both engines mount over the image: it becomes an empty file, as it
// does when an unprivileged user unpacks the layer.
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
		h.Devmajor, h.Devminor = 0, 0 // archives may have any numbers there
	}
	return f.w.Special(meta(h), kind, uint32(h.Devmajor), uint32(h.Devminor)), nil
}

// Bounds of Linux: of a symlink's target (PATH_MAX), of an owner (the last number means none), and
// of a device's numbers, which have 12 and 20 bits.
const (
	maxTarget = 4095
	maxOwner  = math.MaxUint32 - 1
	maxMajor  = 1<<12 - 1
	maxMinor  = 1<<20 - 1
)

// checkHeader refuses owners, devices and symlinks that no file can have.
func checkHeader(h *tar.Header) error {
	device := h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock
	switch {
	case h.Uid < 0 || h.Uid > maxOwner || h.Gid < 0 || h.Gid > maxOwner:
		return refuse("the owner %d:%d", h.Uid, h.Gid)
	case device && (h.Devmajor < 0 || h.Devmajor > maxMajor ||
		h.Devminor < 0 || h.Devminor > maxMinor):
		return refuse("the device %d:%d", h.Devmajor, h.Devminor)
	case h.Typeflag == tar.TypeSymlink && (h.Linkname == "" || len(h.Linkname) > maxTarget):
		return refuse("a symlink to a path of %d bytes", len(h.Linkname))
	}
	return nil
}

// meta returns the metadata of an entry.
func meta(h *tar.Header) squashfs.Meta {
	m := squashfs.Meta{
		Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid),
		ModTime: h.ModTime.Unix(),
	}
	if h.Typeflag == tar.TypeSymlink {
		m.Mode = 0o777 // as on Linux, whatever the archive says
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

// keptXattr tells whether an attribute is kept. Those of user.overlay.* are instructions to the
// overlay of a machine that has unpacked the image. The engine's overlay would obey them as well:
// files would be hidden, or shown in another place.
func keptXattr(name string) bool {
	user := strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
	return user || name == "security.capability"
}
