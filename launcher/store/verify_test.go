package store

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func all(string) bool { return true }

// verify returns what is broken, as "KIND why".
func verify(t *testing.T, s *Store, repair bool) (broken []string, looked int) {
	t.Helper()
	err := s.Verify(t.Context(), all, repair, func(c Checked) {
		looked++
		if c.Unknown != nil || c.Removed != (repair && c.Broken != "") {
			t.Errorf("Verify says %+v", c)
		}
		if c.Broken != "" {
			broken = append(broken, c.Kind+" "+c.Broken)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return broken, looked
}

func TestVerify(t *testing.T) {
	s := open(t, t.TempDir())
	path := mustCreate(t, s)
	if want := `/24-[0-9a-f]{64}\.sif$`; !regexp.MustCompile(want).MatchString(path) {
		t.Errorf("the SIF is %q, want %s", path, want)
	}
	if err := errors.Join(s.PutBlob(testDigest, []byte("{}")), s.PutBlob(otherDigest, nil)); err != nil {
		t.Fatal(err)
	}
	if broken, looked := verify(t, s, false); len(broken) > 0 || looked != 3 {
		t.Errorf("Verify of a good store: %d files, broken %q", looked, broken)
	}
	// One byte of each, which no cheap check sees.
	blob := filepath.Join(s.Dir(), dirBlobs, "sha256", testDigest[7:])
	for file, text := range map[string]string{path: strings.Replace(content, "file", "fill", 1), blob: "{]"} {
		if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, _ := s.SIF(testDigest, "amd64"); !ok {
		t.Error("a SIF of the right size does not count")
	}
	for _, repair := range []bool{false, true} {
		broken, looked := verify(t, s, repair)
		if len(broken) != 2 || looked != 3 || !strings.HasPrefix(broken[0], "sif its content is sha256:") || !strings.HasPrefix(broken[1], "blob its content is sha256:") {
			t.Errorf("Verify(repair=%v): %d files, broken %q", repair, looked, broken)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the repair: %v", err)
	}
	if broken, looked := verify(t, s, false); len(broken) > 0 || looked != 1 {
		t.Errorf("Verify after the repair: %d files, broken %q", looked, broken)
	}
	mustCreate(t, s)
}

func TestVerifyWhat(t *testing.T) {
	s := open(t, t.TempDir())
	path := mustCreate(t, s)
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	broken, _ := verify(t, s, false)
	if len(broken) != 1 || broken[0] != "sif it has 5 bytes, and should have 24" {
		t.Errorf("Verify of a SIF that was cut: %q", broken)
	}
	err := s.Verify(t.Context(), func(d string) bool { return d == otherDigest }, false, func(c Checked) { t.Errorf("looked at %+v", c) })
	if err != nil {
		t.Error(err)
	}
	if err := open(t, filepath.Join(t.TempDir(), "none")).Verify(t.Context(), all, true, func(Checked) {}); err != nil {
		t.Errorf("Verify where there is no cache: %v", err)
	}
}

func TestSIFNames(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for name, want := range map[string]bool{
		sifName(24, sum): true, "sif/x/" + sifName(1, sum): true, "24.sif": false, "-" + sum + ".sif": false, "0-" + sum + ".sif": false,
		"24-" + sum: false, "24-" + sum[2:] + ".sif": false, "24-" + strings.Repeat("zz", 32) + ".sif": false, "24-" + sum + "-1.sif": false,
	} {
		if _, _, ok := parseSIFName(name); ok != want {
			t.Errorf("parseSIFName(%q) = %v, want %v", name, ok, want)
		}
	}
	k, err := key(testDigest, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if digest, arch, version, ok := parseKey(k); digest != testDigest || arch != "amd64" || version != FormatVersion || !ok {
		t.Errorf("parseKey(%q) = %q, %q, %d, %v", k, digest, arch, version, ok)
	}
	for _, bad := range []string{"", "x", "sha256-00-amd64-v1", strings.Replace(k, "-v", "-", 1), k + "-x"} {
		if _, _, _, ok := parseKey(bad); ok {
			t.Errorf("parseKey(%q) is accepted", bad)
		}
	}
}
