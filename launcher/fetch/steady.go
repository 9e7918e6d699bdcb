package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// steady makes the body of every answer fail that stops coming: of a token, of an error, of a
// redirect. Its header has a deadline by the transport.
type steady struct {
	inner http.RoundTripper
	stall time.Duration
}

func (s *steady) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	resp, err := s.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = newBody(resp, cancel, s.stall)
	return resp, nil
}

// briefly is how long the text of an answer is waited for that nobody needs: it says no more than
// its status.
const briefly = 2 * time.Second

// brief returns what comes of a body soon, and no more than an error message has.
func brief(r io.Reader) []byte {
	if b, ok := r.(*body); ok {
		b.stall, b.left = briefly, min(b.left, briefly)
	}
	raw, _ := io.ReadAll(io.LimitReader(r, maxErrorBytes)) // what came is what there is
	return raw
}

// checkStatus returns an error for an answer of any other status, with what the server says of it.
func checkStatus(resp *http.Response, statuses ...int) error {
	if slices.Contains(statuses, resp.StatusCode) {
		return nil
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(brief(resp.Body)), resp.Body}
	return transport.CheckError(resp, statuses...)
}

// errSlow is why a document that comes too slowly ends.
var errSlow = errors.New("it comes too slowly")

// hurry bounds the time for a document: unlike a layer it is small, and without it the least rate
// would let it take hours.
func (r *registry) hurry(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.opt.Timing.Document, errSlow)
}
