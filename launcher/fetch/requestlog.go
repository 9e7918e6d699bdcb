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

// requestLog reports each request on the network: method, URL, status, bytes of the body and time.
// It leaves out the parts of a URL that may be secret: user, password, and the query, which signs
// redirects.
type requestLog struct {
	inner http.RoundTripper
	tell  func(text string)
}

func (l *requestLog) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	what := "request: " + req.Method + " " + plainURL(req.URL)
	resp, err := l.inner.RoundTrip(req)
	if err != nil {
		l.tell(fmt.Sprintf("%s: no answer, %d ms", what, time.Since(start).Milliseconds()))
		return nil, err
	}
	what += fmt.Sprintf(": %d", resp.StatusCode)
	resp.Body = &counted{ReadCloser: resp.Body, report: func(n int64) {
		l.tell(fmt.Sprintf("%s, %d bytes, %d ms", what, n, time.Since(start).Milliseconds()))
	}}
	return resp, nil
}

// plainURL returns a URL without secrets, with digests shortened.
func plainURL(u *url.URL) string {
	plain := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	text := regexp.MustCompile(`(sha256:[0-9a-f]{12})[0-9a-f]{52}`).
		ReplaceAllString(plain.String(), "$1")
	if u.RawQuery != "" {
		text += "?..."
	}
	return text
}

// counted is a body that reports how many bytes it had, once it has ended or is closed.
type counted struct {
	io.ReadCloser
	n      int64
	once   sync.Once
	report func(n int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if err != nil {
		c.once.Do(func() { c.report(c.n) })
	}
	return n, err
}

func (c *counted) Close() error {
	c.once.Do(func() { c.report(c.n) })
	return c.ReadCloser.Close()
}
