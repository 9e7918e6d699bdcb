package squashfs

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// finisher writes the tables.
type finisher struct {
	w      *Writer
	tree   Tree
	inodes metaWriter
	dirs   metaWriter
	refs   []Ref // by inode number less 1; noRef if the inode is not written yet
	number uint32
}

const noRef = Ref(math.MaxUint64)

// padTo is the multiple to which the file system is padded, as block devices need it.
const padTo = 4096

// FinishTree writes everything except the content of files, which is already written. It returns
// the size of the file system, padded to 4096 bytes. The tree's root must be a directory.
func (w *Writer) FinishTree(tree Tree, root uint32) (int64, error) {
	if w.finished {
		return 0, errors.New("the file system is finished already")
	}
	w.finished = true
	if w.err != nil {
		return 0, w.err
	}
	top := tree.Inode(root)
	if top == nil || top.kind != typeDir {
		return 0, errors.New("the root is no directory")
	}
	f := &finisher{
		w: w, tree: tree, inodes: metaWriter{c: w.c}, dirs: metaWriter{c: w.c}, number: 1,
	}
	top.number, top.nlink = 1, 1
	if err := f.enumerate(root, 0); err != nil {
		return 0, err
	}
	if err := w.flushFragment(); err != nil {
		return 0, err
	}
	w.pipe.close()
	if w.pipe.err != nil {
		return 0, w.pipe.err
	}
	w.known = nil // free memory for the tables
	return f.finish(root)
}

func (f *finisher) finish(root uint32) (int64, error) {
	f.refs = slices.Repeat([]Ref{noRef}, int(f.number))
	if err := f.writeDir(root, f.number+1); err != nil {
		return 0, err
	}
	opt := f.w.opt
	sb := superblock{
		Magic: magic, Inodes: f.number, ModTime: opt.ModTime, BlockSize: uint32(opt.BlockSize),
		Fragments: f.w.frags, Compression: opt.Compression,
		BlockLog: uint16(bits.TrailingZeros(uint(opt.BlockSize))),
		Flags:    flagExportable | flagDuplicates,
		IDs:      uint16(len(f.w.ids.ids)), Major: 4, Root: f.refs[0],
	}
	if opt.Compression == LZ4 {
		sb.Flags |= flagCompressorOptions
	}
	if f.w.xattrs.count == 0 {
		sb.Flags |= flagNoXattrs
	}
	if err := f.writeTables(&sb, f.w.c); err != nil {
		return 0, err
	}
	return f.writeSuperblock(&sb)
}

// writeTables writes the tables in the order that readers check: each ends where the next begins.
func (f *finisher) writeTables(sb *superblock, c compressor) (err error) {
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
	for _, id := range f.w.ids.ids {
		ids.add(id)
	}
	if sb.IDTable, err = f.w.writeTable(&ids); err != nil {
		return err
	}
	sb.XattrTable, err = f.w.writeXattrs(&f.w.xattrs)
	return err
}

func (f *finisher) writeSuperblock(sb *superblock) (int64, error) {
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

// writeDir writes the inodes below a directory, then its listing and its own inode.
func (f *finisher) writeDir(name, parent uint32) error {
	d := f.tree.Inode(name)
	names := f.children(name)
	nlink := uint32(2)
	for _, name := range names {
		n := f.tree.Inode(name)
		if n.kind != typeDir {
			f.writeInode(n)
			continue
		}
		nlink++
		if err := f.writeDir(name, d.number); err != nil {
			return fmt.Errorf("%s: %w", f.tree.Name(name), err)
		}
	}
	l := f.writeListing(names)
	if len(l.index) > math.MaxUint16 || l.size > math.MaxUint32 {
		return errors.New("the directory is too large for the format")
	}
	f.refs[d.number-1] = f.inodes.ref()
	if d.xattr == noXattr && l.size <= math.MaxUint16 && len(l.index) == 0 {
		f.inodes.add(d.head(0))
		f.inodes.add(struct {
			Start, Nlink uint32
			Size, Offset uint16
			Parent       uint32
		}{l.chunk, nlink, uint16(l.size), l.offset, parent})
		return nil
	}
	f.inodes.add(d.head(typeExtended))
	f.inodes.add(struct {
		Nlink, Size, Start, Parent uint32
		Indexes, Offset            uint16
		Xattr                      uint32
	}{nlink, uint32(l.size), l.chunk, parent, uint16(len(l.index)), l.offset, d.xattr})
	for _, i := range l.index {
		f.inodes.add(struct{ At, Chunk, Size uint32 }{i.at, i.chunk, uint32(len(i.name) - 1)})
		_, _ = f.inodes.Write([]byte(i.name)) // never fails
	}
	return nil
}

func (n *Inode) head(extended uint16) inodeHead {
	return inodeHead{
		Type: n.kind + extended, Mode: n.mode, UID: n.uid, GID: n.gid,
		ModTime: n.mtime, Number: n.number,
	}
}

// writeInode writes an inode that is not a directory, unless it is written already.
func (f *finisher) writeInode(n *Inode) {
	if f.refs[n.number-1] != noRef {
		return
	}
	f.refs[n.number-1] = f.inodes.ref()
	if n.kind == typeFile {
		f.writeFile(n)
		return
	}
	extended := uint16(0)
	if n.xattr != noXattr {
		extended = typeExtended
	}
	f.inodes.add(n.head(extended))
	f.inodes.add(n.nlink)
	switch n.kind {
	case typeSymlink:
		f.inodes.add(uint32(n.size))
		_, _ = f.inodes.Write(f.w.targets.at(n.place, int(n.size))) // never fails
	case typeBlock, typeChar:
		major, minor := n.pair()
		f.inodes.add(major<<8 | minor&0xff | minor&0xfff00<<12) // the kernel's new_encode_dev
	}
	if extended != 0 {
		f.inodes.add(n.xattr)
	}
}

func (f *finisher) writeFile(n *Inode) {
	var all blockList
	start, fragment, offset := uint64(0), uint32(noFragment), uint32(0)
	if n.blocks != nil {
		all, start = *n.blocks, n.place
	} else if n.size > 0 {
		fragment, offset = n.pair()
	}
	if n.xattr != noXattr || n.nlink > 1 || all.sparse > 0 ||
		n.size > math.MaxUint32 || start > math.MaxUint32 {
		f.inodes.add(n.head(typeExtended))
		f.inodes.add(struct {
			Start, Size, Sparse            uint64
			Nlink, Fragment, Offset, Xattr uint32
		}{start, uint64(n.size), uint64(all.sparse), n.nlink, fragment, offset, n.xattr})
	} else {
		f.inodes.add(n.head(0))
		f.inodes.add(struct{ Start, Fragment, Offset, Size uint32 }{
			uint32(start), fragment, offset, uint32(n.size),
		})
	}
	for words := all.words; len(words) > 0; words = words[min(len(words), wordsAtOnce):] {
		f.inodes.add(words[:min(len(words), wordsAtOnce)])
	}
}

// wordsAtOnce is how many size words are encoded at a time.
const wordsAtOnce = 4096
