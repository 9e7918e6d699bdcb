package squashfs

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// xattrWriter collects the sets of extended attributes. Equal sets are stored once.
type xattrWriter struct {
	values metaWriter
	ids    metaWriter
	count  uint32
	bytes  int // of all sets
	known  map[[sha256.Size]byte]uint32
}

// MaxXattrs bounds the bytes of all different sets of extended attributes of a file system, each
// with xattrCost of overhead. The sets and their compressed form are in memory until the end.
const (
	MaxXattrs = 64 << 20
	xattrCost = 128
)

// number returns the number of a set, or noXattr if it is empty. Attributes in name spaces that the
// format does not have (system.*) are left out.
func (x *xattrWriter) number(set []Xattr) (uint32, error) {
	if len(set) == 0 {
		return noXattr, nil
	}
	if err := checkXattrs(set); err != nil {
		return 0, err
	}
	set = slices.SortedFunc(slices.Values(set), func(a, b Xattr) int {
		return strings.Compare(a.Name, b.Name)
	})
	var raw []byte
	n, size := uint32(0), uint32(0)
	for _, a := range set {
		prefix, name, ok := splitXattr(a.Name)
		if !ok {
			continue
		}
		raw = binary.LittleEndian.AppendUint16(raw, prefix)
		raw = binary.LittleEndian.AppendUint16(raw, uint16(len(name)))
		raw = append(raw, name...)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(a.Value)))
		raw = append(raw, a.Value...)
		n++
		size += uint32(len(a.Name)) + 1 // as listxattr counts it
	}
	if n == 0 {
		return noXattr, nil
	}
	sum := sha256.Sum256(raw)
	if id, ok := x.known[sum]; ok {
		return id, nil
	}
	if x.bytes += len(raw) + xattrCost; x.bytes > MaxXattrs {
		return 0, fmt.Errorf("the extended attributes take more than %d MiB, each set counted once",
			MaxXattrs>>20)
	}
	ref := x.values.ref()
	_, _ = x.values.Write(raw) // never fails
	x.ids.add(struct {
		Ref         Ref
		Count, Size uint32
	}{ref, n, size})
	x.known[sum] = x.count
	x.count++
	return x.count - 1, nil
}

// splitXattr returns the number of a name's name space and the rest of the name.
func splitXattr(name string) (prefix uint16, rest string, ok bool) {
	for i, p := range xattrPrefixes() {
		if rest, ok := strings.CutPrefix(name, p); ok && rest != "" {
			return uint16(i), rest, true
		}
	}
	return 0, "", false
}

// checkXattrs refuses attributes that Linux cannot list or return.
func checkXattrs(set []Xattr) error {
	names, all := 0, 0
	known := make(map[string]bool, len(set))
	for _, x := range set {
		if _, _, ok := splitXattr(x.Name); !ok {
			continue // left out
		}
		names += len(x.Name) + 1
		all += 8 + len(x.Name) + len(x.Value)
		switch {
		case len(x.Name) > maxXattrName || strings.Contains(x.Name, "\x00"):
			return fmt.Errorf("%.80q is no name for an xattr", x.Name)
		case len(x.Value) > maxXattrValue:
			return fmt.Errorf("the xattr %s has a value of %d bytes", x.Name, len(x.Value))
		case known[x.Name]:
			return fmt.Errorf("the xattr %s is there twice", x.Name)
		}
		known[x.Name] = true
	}
	if names > maxXattrNames || all > maxXattrsBytes {
		return fmt.Errorf("its xattrs have names of %d bytes and take %d", names, all)
	}
	return nil
}

// writeXattrs writes the attributes and their table, which is the last part of the file system, and
// returns the place of the table.
func (w *Writer) writeXattrs(x *xattrWriter) (uint64, error) {
	if x.count == 0 {
		return noTable, nil
	}
	values := uint64(w.out.at)
	if err := w.writeChunks(&x.values); err != nil {
		return 0, err
	}
	base := uint64(w.out.at)
	if err := w.writeChunks(&x.ids); err != nil {
		return 0, err
	}
	at := uint64(w.out.at)
	head := binary.LittleEndian.AppendUint64(nil, values)
	head = binary.LittleEndian.AppendUint32(head, x.count)
	head = binary.LittleEndian.AppendUint32(head, 0)
	for _, s := range x.ids.starts {
		head = binary.LittleEndian.AppendUint64(head, base+s)
	}
	return at, w.out.write(head)
}
