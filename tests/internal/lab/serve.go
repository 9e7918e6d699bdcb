package lab

import (
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Serve starts Debian's registry on loopback, with its storage in dir, pushes an image layout to it
// and returns the image's name.
func Serve(t *testing.T, layoutDir, dir string) string {
	t.Helper()
	port := FreePort(t)
	Script(t, "registry", "start", dir, port)
	t.Cleanup(func() {
		if out, err := exec.Command("../lab/registry", "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("stopping the registry: %v\n%s", err, out)
		}
	})
	index, err := layout.ImageIndexFromPath(layoutDir)
	if err != nil {
		t.Fatal(err)
	}
	image := "127.0.0.1:" + port + "/hpc3/login:1"
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatalf("pushing to %s: %v", image, err)
	}
	return image
}

// FreePort returns a port of loopback that no process uses now.
func FreePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // opened to see which is free
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
