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

// stallLimit fails the body of any answer that stops arriving: a token's, an error's, a redirect's.
// The transport has a deadline for its header.
type stallLimit struct {
	inner http.RoundTripper
	stall time.Duration
}

func (s *stallLimit) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	resp, err := s.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = newBody(resp, cancel, s.stall)
	return resp, nil
}

// drainLimit is how long to wait for the text of an answer that nobody needs: the status says it.
const drainLimit = 2 * time.Second

// drain returns what arrives of a body soon, and no more than an error message has.
func drain(r io.Reader) []byte {
	if b, ok := r.(*body); ok {
		b.stall, b.left = drainLimit, min(b.left, drainLimit)
	}
	raw, _ := io.ReadAll(io.LimitReader(r, maxErrorBytes)) // what came is what there is
	return raw
}

// checkStatus returns an error for any other status, with the server's message.
func checkStatus(resp *http.Response, statuses ...int) error {
	if slices.Contains(statuses, resp.StatusCode) {
		return nil
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(drain(resp.Body)), resp.Body}
	return transport.CheckError(resp, statuses...)
}

// errSlow ends a document that arrives too slowly.
var errSlow = errors.New("it comes too slowly")

// withDocumentLimit bounds the time for a document: it is small, and at the lowest allowed rate it
// could take hours.
func (r *registry) withDocumentLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, r.opt.Timing.Document, errSlow)
}
