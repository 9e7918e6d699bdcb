package squashfs

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// finisher writes the tables.
type finisher struct {
	w      *Writer
	inodes metaWriter
	dirs   metaWriter
	ids    idTable
	xattrs xattrWriter
	refs   []Ref // by inode number, from 1
	number uint32
}

// padTo is what the file system is padded to, as devices demand.
const padTo = 4096

// Finish writes everything but the files' content, which is written, and returns the size of the file system, padded
// to 4096 bytes. It does not change root but for what belongs to the package.
func (w *Writer) Finish(root *Dir) (int64, error) {
	if w.finished {
		return 0, errors.New("the file system is finished already")
	}
	w.finished = true
	if err := root.check("", 0); err != nil {
		return 0, err
	}
	if err := w.flushFragment(); err != nil {
		return 0, err
	}
	w.pipe.close()
	if w.pipe.err != nil {
		return 0, w.pipe.err
	}
	c, err := newCompressor(w.opt)
	if err != nil {
		return 0, err
	}
	f := &finisher{w: w, inodes: metaWriter{c: c}, dirs: metaWriter{c: c}, ids: idTable{index: map[uint32]uint16{}}}
	f.xattrs = xattrWriter{values: metaWriter{c: c}, ids: metaWriter{c: c}, known: map[string]uint32{}}
	return f.finish(root, c)
}

func (f *finisher) finish(root *Dir, c compressor) (int64, error) {
	f.number = 1
	root.number = 1
	f.enumerate(root)
	f.refs = make([]Ref, f.number)
	rootRef, err := f.dir(root, f.number+1)
	if err != nil {
		return 0, err
	}
	sb := superblock{
		Magic: magic, Inodes: f.number, ModTime: f.w.opt.ModTime, BlockSize: uint32(f.w.opt.BlockSize),
		Fragments: f.w.frags, Compression: f.w.opt.Compression, BlockLog: uint16(bits.TrailingZeros(uint(f.w.opt.BlockSize))),
		Flags: flagExportable | flagDuplicates, IDs: uint16(len(f.ids.ids)), Major: 4, Root: rootRef,
	}
	if f.w.opt.Compression == LZ4 {
		sb.Flags |= flagCompressorOptions
	}
	if f.xattrs.count == 0 {
		sb.Flags |= flagNoXattrs
	}
	if err := f.tables(&sb, c); err != nil {
		return 0, err
	}
	return f.superblock(&sb)
}

// tables writes the tables in the order that readers check: each ends where the next begins.
func (f *finisher) tables(sb *superblock, c compressor) (err error) {
	sb.InodeTable = uint64(f.w.out.at)
	if err := f.w.writeChunks(&f.inodes); err != nil {
		return err
	}
	sb.DirTable = uint64(f.w.out.at)
	if err := f.w.writeChunks(&f.dirs); err != nil {
		return err
	}
	sb.FragmentTable = noTable
	if f.w.frags > 0 {
		fragments := metaWriter{c: c}
		for _, e := range f.w.pipe.fragments {
			fragments.add(e)
		}
		if sb.FragmentTable, err = f.w.writeTable(&fragments); err != nil {
			return err
		}
	}
	exports, ids := metaWriter{c: c}, metaWriter{c: c}
	for _, ref := range f.refs {
		exports.add(ref)
	}
	if sb.ExportTable, err = f.w.writeTable(&exports); err != nil {
		return err
	}
	for _, id := range f.ids.ids {
		ids.add(id)
	}
	if sb.IDTable, err = f.w.writeTable(&ids); err != nil {
		return err
	}
	sb.XattrTable, err = f.w.writeXattrs(&f.xattrs)
	return err
}

func (f *finisher) superblock(sb *superblock) (int64, error) {
	out := f.w.out
	sb.Used = uint64(out.at)
	size := (out.at + padTo - 1) / padTo * padTo
	if err := out.put(make([]byte, size-out.at)); err != nil {
		return 0, err
	}
	if err := out.writeFirst(sb.encode()); err != nil {
		return 0, err
	}
	if err := out.seek(size); err != nil {
		return 0, err
	}
	return size, out.w.Truncate(out.base + size)
}

// enumerate numbers the inodes below d, those of one directory in a row, which keeps listings short.
func (f *finisher) enumerate(d *Dir) {
	names := d.names()
	for _, name := range names {
		switch n := d.Entries[name].(type) {
		case *Dir:
			f.number++
			n.number = f.number
		case *Inode:
			if n.nlink++; n.nlink == 1 {
				f.number++
				n.number = f.number
			}
		}
	}
	for _, name := range names {
		if sub, ok := d.Entries[name].(*Dir); ok {
			f.enumerate(sub)
		}
	}
}

// dir writes what is in a directory, its listing and its inode.
func (f *finisher) dir(d *Dir, parent uint32) (Ref, error) {
	entries := make([]listed, 0, len(d.Entries))
	nlink := uint32(2)
	for _, name := range d.names() {
		e := listed{name: name}
		var err error
		switch n := d.Entries[name].(type) {
		case *Dir:
			nlink++
			e.kind, e.number = typeDir, n.number
			e.ref, err = f.dir(n, d.number)
		case *Inode:
			e.kind, e.number = n.kind, n.number
			e.ref, err = f.inode(n)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		entries = append(entries, e)
	}
	l := f.list(entries)
	head, err := f.head(d.Meta, typeDir, d.number)
	if err != nil {
		return 0, err
	}
	xattr := f.xattrs.number(d.Xattrs)
	ref := f.inodes.ref()
	f.refs[d.number-1] = ref
	if xattr == noXattr && l.size <= math.MaxUint16 && len(l.index) == 0 {
		f.inodes.add(head)
		f.inodes.add(struct {
			Start, Nlink uint32
			Size, Offset uint16
			Parent       uint32
		}{l.chunk, nlink, uint16(l.size), l.offset, parent})
		return ref, nil
	}
	if len(l.index) > math.MaxUint16 || l.size > math.MaxUint32 {
		return 0, errors.New("the directory is too large for the format")
	}
	head.Type += typeExtended
	f.inodes.add(head)
	f.inodes.add(struct {
		Nlink, Size, Start, Parent uint32
		Indexes, Offset            uint16
		Xattr                      uint32
	}{nlink, uint32(l.size), l.chunk, parent, uint16(len(l.index)), l.offset, xattr})
	for _, i := range l.index {
		f.inodes.add(struct{ At, Chunk, Size uint32 }{i.at, i.chunk, uint32(len(i.name) - 1)})
		_, _ = f.inodes.Write([]byte(i.name)) // never fails
	}
	return ref, nil
}

func (f *finisher) head(m Meta, kind uint16, number uint32) (inodeHead, error) {
	uid, ok := f.ids.number(m.UID)
	gid, ok2 := f.ids.number(m.GID)
	if !ok || !ok2 {
		return inodeHead{}, fmt.Errorf("there are more than %d user and group ids", maxIDs)
	}
	return inodeHead{
		Type: kind, Mode: uint16(m.Mode & 0o7777), UID: uid, GID: gid, Number: number,
		ModTime: uint32(max(0, min(m.ModTime, math.MaxUint32))),
	}, nil
}

// inode writes an inode that is no directory, once.
func (f *finisher) inode(n *Inode) (Ref, error) {
	if n.done {
		return n.ref, nil
	}
	head, err := f.head(n.Meta, n.kind, n.number)
	if err != nil {
		return 0, err
	}
	n.ref, n.done = f.inodes.ref(), true
	f.refs[n.number-1] = n.ref
	xattr := f.xattrs.number(n.Xattrs)
	extended := xattr != noXattr
	if n.kind == typeFile {
		f.file(n, head, xattr, extended || n.nlink > 1 || n.sparse > 0 || n.size > math.MaxUint32 || n.start > math.MaxUint32)
		return n.ref, nil
	}
	if extended {
		head.Type += typeExtended
	}
	f.inodes.add(head)
	f.inodes.add(n.nlink)
	switch n.kind {
	case typeSymlink:
		f.inodes.add(uint32(len(n.target)))
		_, _ = f.inodes.Write([]byte(n.target)) // never fails
	case typeBlock, typeChar:
		f.inodes.add(n.major<<8 | n.minor&0xff | n.minor&0xfff00<<12) // the kernel's new_encode_dev
	}
	if extended {
		f.inodes.add(xattr)
	}
	return n.ref, nil
}

func (f *finisher) file(n *Inode, head inodeHead, xattr uint32, extended bool) {
	start := n.start
	if len(n.blocks) == 0 {
		start = 0
	}
	if extended {
		head.Type += typeExtended
		f.inodes.add(head)
		f.inodes.add(struct {
			Start, Size, Sparse            uint64
			Nlink, Fragment, Offset, Xattr uint32
		}{uint64(start), uint64(n.size), uint64(n.sparse), n.nlink, n.fragment, n.offset, xattr})
	} else {
		f.inodes.add(head)
		f.inodes.add(struct{ Start, Fragment, Offset, Size uint32 }{uint32(start), n.fragment, n.offset, uint32(n.size)})
	}
	if len(n.blocks) > 0 {
		f.inodes.add(n.blocks)
	}
}
