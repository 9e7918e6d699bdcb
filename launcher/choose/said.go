package choose

import (
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// tellIndex tells where the index, or what stands for one, was found.
func (ch *chooser) tellIndex() {
	from := "from the cache"
	switch {
	case ch.asked && ch.Reference.Transport == oci.Registry:
		from = "from the registry"
	case ch.asked:
		from = "from the file"
	}
	what := Called(ch.Reference)
	if ch.Reference.Digest == "" {
		what += ", " + notes.ShortDigest(ch.c.Index.Digest)
	}
	switch {
	case len(ch.c.Index.Entries) > 0 && ch.c.Index.Entries[0].Tag != "":
		what = fmt.Sprintf("none, but %d tags of %s", len(ch.c.Index.Entries), Called(ch.Reference))
	case ch.c.Index.Digest == "":
		what = Called(ch.Reference) + ", which is one image"
	}
	ch.Notef("index: %s, %s", what, from)
}

// tellChoice tells which entry is taken. That may change when the image says more of itself.
func (ch *chooser) tellChoice() {
	e, why := ch.c.Taken(), ch.c.Why
	if wants := PlatformOf(e); !strings.Contains(why, wants) {
		why = wants + ": " + why
	}
	text := fmt.Sprintf("choice: entry %d of %d, %s", e.Position, len(ch.c.Index.Entries), why)
	if text != ch.told {
		ch.told = text
		ch.Notef("%s", text)
	}
}

// Called is a reference in a message that goes by: with a short digest, if it has one.
func Called(ref oci.Reference) string {
	text := ref.String()
	if ref.Digest == "" {
		return text
	}
	return strings.Replace(text, ref.Digest, notes.ShortDigest(ref.Digest), 1)
}
