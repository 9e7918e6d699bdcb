package caches

import (
	"os"
	"syscall"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/store"
)

// The layers that are kept of themselves are a tenth of the room, those that are asked for as many
// as that.
func TestLayerLimit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	for text, want := range map[string]int64{"auto": (1 << 20) / 10, "0": 0, "7kB": 7000, "none": -1} {
		var set settings.Settings
		if err := set.Option.LayerCache.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(dir + "/hpc3")
		if err != nil {
			t.Fatal(err)
		}
		if got := New(&set, &notes.Notes{}).LayerLimit(s); got != want {
			t.Errorf("layer_cache = %q keeps %d bytes, want %d", text, got, want)
		}
	}
	if !option.Merge().LayerCache.Auto {
		t.Error("the default is none of the room's")
	}
}
