package run

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// maxRead is the largest read that the kernel asks for: a data block of our SIFs.
const maxRead = 128 << 10

// forever is how long the kernel may keep what it was told: the image never changes.
const forever = 365 * 24 * time.Hour

// imageFS serves a SquashFS. A node id is the inode's reference plus two, but for the root, which FUSE calls 1. Nothing is ever opened or closed:
// the kernel learns with its first question that it need not ask, and reads by the node id.
type imageFS struct {
	fuse.RawFileSystem
	img      *squashfs.FS
	uid, gid int // what every file belongs to; negative: the image's own

	files    recent[*squashfs.File]
	listings recent[[]squashfs.DirEntry] // the kernel reads them in parts
}

// recent keeps what was made for some nodes, so that it is not made for every question. Which one goes when it is full does not matter: a file
// costs as little as a look-up to make.
type recent[V any] struct {
	limit int
	mu    sync.Mutex
	made  map[uint64]V
}

func (r *recent[V]) get(node uint64, fresh func() (V, error)) (V, error) {
	r.mu.Lock()
	v, ok := r.made[node]
	r.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := fresh()
	if err != nil {
		return v, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for other := range r.made {
		if len(r.made) < r.limit {
			break
		}
		delete(r.made, other)
	}
	r.made[node] = v
	return v, nil
}

func newImageFS(img *squashfs.FS, uid, gid int) *imageFS {
	return &imageFS{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), img: img, uid: uid, gid: gid,
		files:    recent[*squashfs.File]{limit: 1024, made: map[uint64]*squashfs.File{}},
		listings: recent[[]squashfs.DirEntry]{limit: 16, made: map[uint64][]squashfs.DirEntry{}},
	}
}

func (i *imageFS) String() string { return "hpc3" }

func (i *imageFS) ref(node uint64) squashfs.Ref {
	if node == fuse.FUSE_ROOT_ID {
		return i.img.Root()
	}
	return squashfs.Ref(node - 2)
}

func (i *imageFS) node(ref squashfs.Ref) uint64 {
	if ref == i.img.Root() {
		return fuse.FUSE_ROOT_ID
	}
	return uint64(ref) + 2
}

func status(err error) fuse.Status {
	var errno unix.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.Is(err, fs.ErrNotExist):
		return fuse.ENOENT
	case errors.As(err, &errno):
		return fuse.Status(errno)
	}
	return fuse.EIO
}

func (i *imageFS) attr(a squashfs.Attr, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: uint64(a.Inode), Size: uint64(a.Size), Blocks: uint64(a.Size+511) / 512, Mode: a.Mode, Nlink: a.Nlink, Blksize: maxRead,
		Mtime: uint64(a.ModTime), Ctime: uint64(a.ModTime), Atime: uint64(a.ModTime), Rdev: uint32(unix.Mkdev(a.Major, a.Minor)),
	}
	out.Uid, out.Gid = a.UID, a.GID
	if i.uid >= 0 {
		out.Uid, out.Gid = uint32(i.uid), uint32(i.gid)
	}
}

func (i *imageFS) entry(ref squashfs.Ref, out *fuse.EntryOut) error {
	a, err := i.img.Stat(ref)
	if err != nil {
		return err
	}
	out.NodeId, out.Generation = i.node(ref), 1
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	i.attr(a, &out.Attr)
	return nil
}

func (i *imageFS) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	ref, err := i.img.Lookup(i.ref(header.NodeId), name)
	if errors.Is(err, fs.ErrNotExist) {
		out.NodeId = 0 // an entry without a node: the kernel remembers that there is none
		out.SetEntryTimeout(forever)
		return fuse.OK
	}
	if err == nil {
		err = i.entry(ref, out)
	}
	return status(err)
}

func (i *imageFS) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := i.img.Stat(i.ref(input.NodeId))
	if err != nil {
		return status(err)
	}
	out.SetTimeout(forever)
	i.attr(a, &out.Attr)
	return fuse.OK
}

func (i *imageFS) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := i.img.Readlink(i.ref(header.NodeId))
	return []byte(target), status(err)
}

// Open tells the kernel that it need not ask, now and from now on: it keeps what it has read.
func (i *imageFS) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.ENOSYS }

// Flush is not asked again either.
func (i *imageFS) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

func (i *imageFS) Read(_ <-chan struct{}, input *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f, err := i.files.get(input.NodeId, func() (*squashfs.File, error) { return i.img.OpenFile(i.ref(input.NodeId)) })
	if err != nil {
		return nil, status(err)
	}
	n, err := f.ReadAt(buf, int64(input.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, status(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// OpenDir answers, unlike Open: before Linux 5.1 the kernel would take ENOSYS for an error.
func (i *imageFS) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR
	return fuse.OK
}

func (i *imageFS) ReadDir(_ <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return i.list(input, func(e squashfs.DirEntry, off uint64) (bool, error) {
		return out.AddDirEntry(fuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Inode), Off: off}), nil
	})
}

func (i *imageFS) ReadDirPlus(_ <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return i.list(input, func(e squashfs.DirEntry, off uint64) (bool, error) {
		entry := out.AddDirLookupEntry(fuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Inode), Off: off})
		if entry == nil {
			return false, nil
		}
		return true, i.entry(e.Ref, entry)
	})
}

// list gives the rest of a listing to add, which says whether there was room. "." and ".." are the kernel's business.
func (i *imageFS) list(input *fuse.ReadIn, add func(squashfs.DirEntry, uint64) (bool, error)) fuse.Status {
	entries, err := i.listings.get(input.NodeId, func() ([]squashfs.DirEntry, error) { return i.img.ReadDir(i.ref(input.NodeId)) })
	if err != nil {
		return status(err)
	}
	for at := input.Offset; at < uint64(len(entries)); at++ {
		room, err := add(entries[at], at+1)
		if err != nil {
			return status(err)
		}
		if !room {
			break
		}
	}
	return fuse.OK
}

func (i *imageFS) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = maxRead, maxRead, 256
	out.Blocks, out.Files = uint64(i.img.Size()+maxRead-1)/maxRead, uint64(i.img.Inodes())
	return fuse.OK
}

// GetXAttr shows attributes of the user name space only: capabilities have no effect on a mount without setuid, and asking for them
// at every exec would cost a round trip.
func (i *imageFS) GetXAttr(_ <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
		return 0, fuse.ENOATTR
	}
	xattrs, err := i.img.Xattrs(i.ref(header.NodeId))
	if err != nil {
		return 0, status(err)
	}
	for _, x := range xattrs {
		if x.Name != name {
			continue
		}
		if len(dest) > 0 && len(dest) < len(x.Value) {
			return uint32(len(x.Value)), fuse.ERANGE
		}
		return uint32(copyOrLen(dest, x.Value)), fuse.OK
	}
	return 0, fuse.ENOATTR
}

func copyOrLen(dest, value []byte) int {
	copy(dest, value)
	return len(value)
}

func (i *imageFS) ListXAttr(_ <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	xattrs, err := i.img.Xattrs(i.ref(header.NodeId))
	if err != nil {
		return 0, status(err)
	}
	var names []byte
	for _, x := range xattrs {
		if strings.HasPrefix(x.Name, "user.") && !strings.HasPrefix(x.Name, "user.overlay.") {
			names = append(append(names, x.Name...), 0)
		}
	}
	if len(dest) > 0 && len(dest) < len(names) {
		return uint32(len(names)), fuse.ERANGE
	}
	return uint32(copyOrLen(dest, names)), fuse.OK
}
