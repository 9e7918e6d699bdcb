package fetch

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"
)

// told tells of each request, as it goes over the network: method, URL, status, bytes of the body and time. Of the URL it leaves out what
// may be a secret: a user, a password, and the query, by which registries sign redirects.
type told struct {
	inner http.RoundTripper
	tell  func(text string)
}

func (t *told) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	what := "request: " + req.Method + " " + plainURL(req.URL)
	resp, err := t.inner.RoundTrip(req)
	if err != nil {
		t.tell(fmt.Sprintf("%s: no answer, %d ms", what, time.Since(start).Milliseconds()))
		return nil, err
	}
	what += fmt.Sprintf(": %d", resp.StatusCode)
	resp.Body = &counted{ReadCloser: resp.Body, told: func(n int64) {
		t.tell(fmt.Sprintf("%s, %d bytes, %d ms", what, n, time.Since(start).Milliseconds()))
	}}
	return resp, nil
}

// plainURL returns a URL without secrets, with digests as short as tells them apart.
func plainURL(u *url.URL) string {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`).ReplaceAllString(plain.String(), "$1")
	if u.RawQuery != "" {
		text += "?..."
	}
	return text
}

// counted is a body that tells how many bytes it had, once it has ended or is closed.
type counted struct {
	io.ReadCloser
	n    int64
	once sync.Once
	told func(n int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if err != nil {
		c.once.Do(func() { c.told(c.n) })
	}
	return n, err
}

func (c *counted) Close() error {
	c.once.Do(func() { c.told(c.n) })
	return c.ReadCloser.Close()
}
