package fetch

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/oci"
)

// verified passes on the bytes of a blob, and returns io.EOF only if they were the right ones. It
// never passes on more than the declared size.
type verified struct {
	io.Closer
	src  io.Reader
	desc oci.Descriptor
	from string // for messages: the registry or the file
	left int64
	sum  hash.Hash
	end  error
}

func verify(src io.ReadCloser, d oci.Descriptor, from string) *verified {
	v := &verified{Closer: src, src: src, desc: d, from: from, left: d.Size, sum: sha256.New()}
	if strings.HasPrefix(d.Digest, "sha512:") {
		v.sum = sha512.New()
	}
	return v
}

func (v *verified) Read(p []byte) (int, error) {
	if v.end == nil && v.left == 0 {
		v.finish()
	}
	if v.end != nil || len(p) == 0 {
		return 0, v.end
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.src.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	switch {
	case v.left == 0:
		// Now: a reader that knows where the content ends may never come back for the io.EOF.
		v.finish()
		if !errors.Is(v.end, io.EOF) {
			return n, v.end
		}
	case ended(err):
		v.end = v.wrong("it ends after %d of %d bytes", v.desc.Size-v.left, v.desc.Size)
	case err != nil:
		v.end = err
	}
	if n > 0 {
		return n, nil
	}
	return 0, v.end
}

// finish checks a blob of which all declared bytes arrived.
func (v *verified) finish() {
	var more [1]byte
	if n, _ := io.ReadFull(v.src, more[:]); n > 0 {
		v.end = v.wrong("it is longer than the %d bytes that it should have", v.desc.Size)
		return
	}
	algorithm, want, _ := strings.Cut(v.desc.Digest, ":")
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != want {
		v.end = v.wrong("its digest is %s:%s", algorithm, got)
		return
	}
	v.end = io.EOF
}

func (v *verified) wrong(format string, args ...any) error {
	return oci.ErrUnusable.New("reading %s from %s: "+format,
		append([]any{v.desc.Digest, v.from}, args...)...).
		Hint("what %s holds is damaged: push or copy the image again", v.from)
}
