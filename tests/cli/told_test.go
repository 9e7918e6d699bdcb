package cli

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/tests/internal/lab"
)

// Under -v the road is told in six lines, whether or not the cache has the image, and under -d what
// it went by: no value of a variable, no password.
func TestTheRoadIsTold(t *testing.T) {
	lab.Needs(t, "apptainer", os.Getuid() == 0, "the lab needs root")
	lab.Needs(t, "apptainer", !testing.Short(), "the lab is not built by a short run")
	l := lab.New(t)
	p := lab.Persons()[0]
	secret := base64.StdEncoding.EncodeToString([]byte("ada:t0psecret"))
	auth := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, strings.Split(l.Image, "/")[0], secret)
	if err := os.WriteFile(l.Work+"/auth.json", []byte(auth), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, engine := range p.Engines {
		t.Run(engine, func(t *testing.T) {
			said := func(args ...string) string {
				t.Helper()
				cmd := l.Command(p, engine, append([]string{"env", "TOKEN=t0psecret", "LD_PRELOAD=", "HPC3_CACHEDIR=/lab/cache-" + engine, "hpc3-run"}, args...)...)
				var errs bytes.Buffer
				cmd.Stderr = &errs
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, errs.String())
				}
				return errs.String()
			}
			if err := os.Mkdir(l.Work+"/cache-"+engine, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(l.Work+"/cache-"+engine, p.UID, p.UID); err != nil {
				t.Fatal(err)
			}
			if got := said(l.Image, "true"); strings.Contains(got, "node: ") {
				t.Errorf("without -v it said\n%s", got)
			}
			if err := os.RemoveAll(l.Work + "/cache-" + engine + "/sif"); err != nil {
				t.Fatal(err)
			}
			for _, from := range []string{"fetched into /lab/cache-" + engine, "from the cache /lab/cache-" + engine} {
				got := said("-v", l.Image, "true")
				var told []string
				for line := range strings.Lines(got) {
					for _, stage := range lab.Stages() {
						if strings.HasPrefix(line, "hpc3-run: "+stage) {
							told = append(told, stage)
						}
					}
				}
				if !slices.Equal(told, lab.Stages()) || !strings.Contains(got, from) {
					t.Errorf("-v told %q, %s; want the six stages once, in their order, and the image %s:\n%s", told, engine, from, got)
				}
			}
			got := said("-d", "--pull", "always", "--authfile", "/lab/auth.json", "-B", "/etc:/mnt:ro", "-e", "KEY=t0psecret", l.Image, "true")
			for _, want := range []string{
				`request: GET http://\S+/manifests/\S+: 200, \d+ bytes, \d+ ms`, `file: /etc/hpc3/hpc3.toml`, `cache: /lab/cache-` + engine + `: yours`,
				`mount: .*/etc\b.*/mnt.*ro`, `environment, passed: .*\bTOKEN\b`, `environment, set by -e: KEY`, `environment, set by the image: .*\bODD\b`,
				`environment, set by hpc3: .*\bHOME\b`, `environment, dropped: .*\bLD_PRELOAD\b`,
			} {
				if !regexp.MustCompile(`(?m)^hpc3-run: ` + want).MatchString(got) {
					t.Errorf("-d told nothing like %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, "t0psecret") || strings.Contains(got, secret) {
				t.Errorf("-d told a secret:\n%s", got)
			}
		})
	}
}
