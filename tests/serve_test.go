package tests

import (
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serve starts Debian's registry on loopback, with its storage in dir, pushes an image layout to it and returns the image's name.
func serve(t *testing.T, layoutDir, dir string) string {
	t.Helper()
	port := freePort(t)
	script(t, "registry", "start", dir, port)
	t.Cleanup(func() {
		if out, err := exec.Command("lab/registry", "stop", dir).CombinedOutput(); err != nil {
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

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
