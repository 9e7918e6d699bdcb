package run

import (
	"testing"
	"unsafe"
)

// The entry of each architecture has these numbers in its source.
func TestOffsetsOfTheEntrysTable(t *testing.T) {
	var l entryLimit
	for name, offset := range map[string][2]uintptr{
		"resource": {unsafe.Offsetof(l.resource), 0}, "at": {unsafe.Offsetof(l.at), 8}, "shift": {unsafe.Offsetof(l.shift), 16}, "need": {unsafe.Offsetof(l.need), 24},
		"said": {unsafe.Offsetof(l.said), 32}, "the end": {unsafe.Sizeof(l), 80}, "the end of all": {unsafe.Sizeof(entryLimits), 240},
	} {
		if offset[0] != offset[1] {
			t.Errorf("%s is at %d, and the entry takes it for %d", name, offset[0], offset[1])
		}
	}
}
