package squashfs

import "encoding/binary"

// ShrinkCaches lets f keep no more than n bytes of each kind.
func (f *FS) ShrinkCaches(n int) { f.Limit(n, n) }

// Exported looks an inode up by its number, as an NFS server does.
func (f *FS) Exported(number uint32) (Ref, error) {
	if number == 0 || number > f.sb.Inodes {
		return 0, corrupt("inode number %d of %d", number, f.sb.Inodes)
	}
	b, err := f.item(f.sb.ExportTable, number-1, 8)
	if err != nil {
		return 0, err
	}
	return Ref(binary.LittleEndian.Uint64(b)), nil
}

// Skip leaves a hole of n bytes in the output, so that what follows has a distant place. No block
// may be in flight.
func (w *Writer) Skip(n int64) error {
	at := w.out.at + n
	for ; n > 0; n -= min(n, 1<<30) {
		w.out.sums = append(w.out.sums, sum{size: uint32(min(n, 1<<30))})
	}
	return w.out.seek(at)
}
