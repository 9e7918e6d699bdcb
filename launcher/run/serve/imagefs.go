package serve

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// MaxRead is the largest read that the kernel asks for: a data block of our SIFs.
const MaxRead = 128 << 10

// forever is how long the kernel may keep an answer: the image never changes.
const forever = 365 * 24 * time.Hour

// imageFS serves a SquashFS. A node id is the inode's reference plus two, except for the root,
// which FUSE calls 1. Nothing is opened or closed: the first answer tells the kernel not to ask,
// and it reads by the node id.
type imageFS struct {
	fuse.RawFileSystem
	img      *squashfs.FS
	uid, gid int // the owner of every file; negative: the image's own

	files     recent[*squashfs.File]
	positions positions
	reads     chan struct{} // bounds the reads at a time
	memory    frugal
	damage    *damage
}

// maxFiles is the number of opened files that are kept, of at most 25 KB each, and mostly of 1 KB.
const maxFiles = 512

// recent keeps values that were made for some nodes, so that they are not made for every question.
// If it is full, an arbitrary one is removed: a file costs no more than a look-up to make.
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

func (r *recent[V]) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.made)
}

// newImageFS returns a server of an image that stays within m.
func newImageFS(img *squashfs.FS, uid, gid int, m memory, d *damage) *imageFS {
	img.Limit(m.meta, m.data)
	i := &imageFS{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), img: img, uid: uid, gid: gid, damage: d,
		files: recent[*squashfs.File]{limit: maxFiles, made: map[uint64]*squashfs.File{}},
		reads: make(chan struct{}, max(2, min(m.requests, m.data/int(2*img.BlockSize())))),
	}
	i.memory.after, i.memory.forget = idleAfter, i.forget
	return i
}

// forget releases what can be made again.
func (i *imageFS) forget() {
	i.img.Forget()
	i.files.forget()
	i.positions.forget()
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

// status is the kernel's answer for an error. If the image or its file system is at fault, the user
// gets a message as well.
func (i *imageFS) status(err error) fuse.Status {
	i.memory.use()
	var errno unix.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.Is(err, fs.ErrNotExist):
		return fuse.ENOENT
	case errors.As(err, &errno) && !errors.Is(err, squashfs.ErrRead):
		return fuse.Status(errno)
	}
	i.damage.found(err)
	return fuse.EIO
}

func (i *imageFS) attr(a squashfs.Attr, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: uint64(a.Inode), Size: uint64(a.Size), Blocks: uint64(a.Size+511) / 512, Mode: a.Mode,
		Nlink: a.Nlink, Blksize: MaxRead,
		Mtime: uint64(a.ModTime), Ctime: uint64(a.ModTime), Atime: uint64(a.ModTime),
		Rdev: uint32(unix.Mkdev(a.Major, a.Minor)),
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

func (i *imageFS) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string,
	out *fuse.EntryOut,
) fuse.Status {
	ref, err := i.img.Lookup(i.ref(header.NodeId), name)
	if errors.Is(err, fs.ErrNotExist) {
		out.NodeId = 0 // an entry without a node: the kernel remembers that the name does not exist
		out.SetEntryTimeout(forever)
		return fuse.OK
	}
	if err == nil {
		err = i.entry(ref, out)
	}
	return i.status(err)
}

func (i *imageFS) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := i.img.Stat(i.ref(input.NodeId))
	if err != nil {
		return i.status(err)
	}
	out.SetTimeout(forever)
	i.attr(a, &out.Attr)
	return fuse.OK
}

func (i *imageFS) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := i.img.Readlink(i.ref(header.NodeId))
	return []byte(target), i.status(err)
}

// Open tells the kernel not to ask, now or later: it may keep what it has read.
func (i *imageFS) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.ENOSYS
}

// Flush is not asked again, either.
func (i *imageFS) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

func (i *imageFS) Read(_ <-chan struct{}, input *fuse.ReadIn,
	buf []byte,
) (fuse.ReadResult, fuse.Status) {
	i.reads <- struct{}{}
	v, err := i.view(input, len(buf))
	if err != nil {
		<-i.reads
		return nil, i.status(err)
	}
	r := &readResult{v, i.reads}
	if r.Size() == 0 { // go-fuse would not call Done
		r.Done()
		return fuse.ReadResultData(nil), i.status(nil)
	}
	return r, i.status(nil)
}

func (i *imageFS) view(input *fuse.ReadIn, n int) (*squashfs.View, error) {
	f, err := i.files.get(input.NodeId,
		func() (*squashfs.File, error) { return i.img.OpenFile(i.ref(input.NodeId)) })
	if err != nil {
		return nil, err
	}
	return f.View(int64(input.Offset), n)
}

// readResult is an answer that goes to the kernel directly from the cache.
type readResult struct {
	view  *squashfs.View
	reads chan struct{}
}

// Slices returns the parts of the answer, which one system call writes.
func (r *readResult) Slices() ([][]byte, fuse.Status) { return r.view.Parts, fuse.OK }

// Size returns the length of the answer.
func (r *readResult) Size() int {
	n := 0
	for _, part := range r.view.Parts {
		n += len(part)
	}
	return n
}

// Bytes returns the answer in one piece.
func (r *readResult) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, part := range r.view.Parts {
		buf = append(buf, part...)
	}
	return buf, fuse.OK
}

// Done is called once the answer is written.
func (r *readResult) Done() {
	r.view.Release()
	<-r.reads
}

// OpenDir answers, unlike Open: before Linux 5.1 the kernel would take ENOSYS for an error.
func (i *imageFS) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_CACHE_DIR
	return fuse.OK
}

func (i *imageFS) ReadDir(_ <-chan struct{}, input *fuse.ReadIn,
	out *fuse.DirEntryList,
) fuse.Status {
	return i.status(i.list(input, func(e squashfs.DirEntry, off uint64) (bool, error) {
		return out.AddDirEntry(
			fuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Inode), Off: off}), nil
	}))
}

func (i *imageFS) ReadDirPlus(_ <-chan struct{}, input *fuse.ReadIn,
	out *fuse.DirEntryList,
) fuse.Status {
	return i.status(i.list(input, func(e squashfs.DirEntry, off uint64) (bool, error) {
		entry := out.AddDirLookupEntry(
			fuse.DirEntry{Name: e.Name, Mode: e.Type, Ino: uint64(e.Inode), Off: off})
		if entry == nil {
			return false, nil
		}
		return true, i.entry(e.Ref, entry)
	}))
}

func (i *imageFS) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = MaxRead, MaxRead, 256
	out.Blocks, out.Files = uint64(i.img.Size()+MaxRead-1)/MaxRead, uint64(i.img.Inodes())
	return fuse.OK
}

// GetXAttr shows attributes of the user name space only. Capabilities have no effect on a mount
// without setuid, and asking for them at every exec would cost a round trip.
func (i *imageFS) GetXAttr(_ <-chan struct{}, header *fuse.InHeader, name string,
	dest []byte,
) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
		return 0, fuse.ENOATTR
	}
	xattrs, err := i.img.Xattrs(i.ref(header.NodeId))
	if err != nil {
		return 0, i.status(err)
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

func (i *imageFS) ListXAttr(_ <-chan struct{}, header *fuse.InHeader,
	dest []byte,
) (uint32, fuse.Status) {
	xattrs, err := i.img.Xattrs(i.ref(header.NodeId))
	if err != nil {
		return 0, i.status(err)
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
