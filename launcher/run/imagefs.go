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

// imageFS serves a SquashFS. A node id is the inode's reference plus two, but for the root, which FUSE calls 1.
type imageFS struct {
	fuse.RawFileSystem
	img      *squashfs.FS
	uid, gid int // what every file belongs to; negative: the image's own

	mu    sync.Mutex
	files map[uint64]*openFile
	next  uint64
}

// openFile is an open file or directory. Listings are kept, since the kernel reads them in parts.
type openFile struct {
	file    *squashfs.File
	entries []squashfs.DirEntry
	self    uint64
}

func newImageFS(img *squashfs.FS, uid, gid int) *imageFS {
	return &imageFS{RawFileSystem: fuse.NewDefaultRawFileSystem(), img: img, uid: uid, gid: gid, files: map[uint64]*openFile{}}
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

func (i *imageFS) hold(f *openFile) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.next++
	i.files[i.next] = f
	return i.next
}

func (i *imageFS) held(handle uint64) *openFile {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.files[handle]
}

func (i *imageFS) Open(_ <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f, err := i.img.OpenFile(i.ref(input.NodeId))
	if err != nil {
		return status(err)
	}
	out.Fh = i.hold(&openFile{file: f})
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (i *imageFS) Read(_ <-chan struct{}, input *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f := i.held(input.Fh)
	if f == nil || f.file == nil {
		return nil, fuse.EBADF
	}
	n, err := f.file.ReadAt(buf, int64(input.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, status(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (i *imageFS) Release(_ <-chan struct{}, input *fuse.ReleaseIn) { i.release(input.Fh) }

func (i *imageFS) ReleaseDir(input *fuse.ReleaseIn) { i.release(input.Fh) }

func (i *imageFS) release(handle uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.files, handle)
}

func (i *imageFS) OpenDir(_ <-chan struct{}, input *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	entries, err := i.img.ReadDir(i.ref(input.NodeId))
	if err != nil {
		return status(err)
	}
	out.Fh = i.hold(&openFile{entries: entries, self: input.NodeId})
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
	f := i.held(input.Fh)
	if f == nil {
		return fuse.EBADF
	}
	for at := input.Offset; at < uint64(len(f.entries)); at++ {
		room, err := add(f.entries[at], at+1)
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
