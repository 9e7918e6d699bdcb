package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The library answers each request with what the plugin is to do.
func TestSubmit(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "there.sif")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "hpc3.toml")
	if err := os.WriteFile(config, []byte("unreachable = \"error\"\nlocked = [\"engine\"]\nengine = \"native\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Nobody answers at this port of loopback.
	const nobody, digest = "127.0.0.1:9/a/b:1", "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	site := "env=HPC3_CONFIG=" + config
	for _, tt := range []struct {
		name    string
		request []string
		want    []string // what the words begin with
	}{
		{"a file", []string{"image=" + image}, []string{"unset SLURM_HPC3_PIN"}},
		{"options", []string{"image=" + image, "option=container-workdir=/w", "option=container-env=A=b=c"}, []string{`set SLURM_HPC3_OPTIONS=[["container-workdir","/w"],["container-env","A=b=c"]]`, "unset SLURM_HPC3_PIN"}},
		{"options of the job", []string{"image=" + image, "option=container-workdir=/w", `env=SLURM_HPC3_OPTIONS=[["container-workdir","/v"],["container-env","A=1"]]`}, []string{`set SLURM_HPC3_OPTIONS=[["container-env","A=1"],["container-workdir","/w"]]`, "unset SLURM_HPC3_PIN"}},
		{"an option that is wrong", []string{"image=" + image, "option=container-mounts=a:b:c:d"}, []string{`error --container-mounts: mount "a:b:c:d" has more than three parts`}},
		{"a name that is wrong", []string{"image=UPPER"}, []string{"unset SLURM_HPC3_PIN", "error image reference", "error hint: "}},
		{"a file that is not there", []string{"image=" + dir + "/not.sif"}, []string{"unset SLURM_HPC3_PIN", "note the job is submitted all the same"}},
		{"a registry that does not answer", []string{"image=" + nobody}, []string{"unset SLURM_HPC3_PIN", "note the job is submitted all the same, and its nodes will look again: reading " + nobody}},
		{"a proxy that is dead", []string{"image=registry.invalid/a/b:1", "env=HTTPS_PROXY=http://me:s3cret@127.0.0.1:9"}, []string{"unset SLURM_HPC3_PIN", "note the job is submitted all the same, and its nodes will look again: reading registry.invalid/a/b:1: the proxy http://127.0.0.1:9 (HTTPS_PROXY) cannot be used"}},
		{"a registry that does not answer, and the site refuses", []string{"image=" + nobody, site}, []string{"unset SLURM_HPC3_PIN", "error reading " + nobody, "error hint: "}},
		{"a step of a job that has settled it", []string{"image=" + nobody, "inherited=" + nobody, site, "env=SLURM_HPC3_PIN=" + nobody + " " + digest}, nil},
		{"a step of another image", []string{"image=" + nobody, "inherited=a/b", site, "env=SLURM_HPC3_PIN=a/b " + digest}, []string{"unset SLURM_HPC3_PIN", "error reading", "error hint: "}},
		{"a name with a digest", []string{"image=127.0.0.1:9/a/b@" + digest, site}, []string{"unset SLURM_HPC3_PIN"}},
		{"a key that is locked", []string{"image=" + image, site, "env=HPC3_ENGINE=apptainer"}, []string{"error ", "error hint: "}},
		{"another version's word", []string{"image=" + image, "colour=red"}, []string{"error the plugin and its library are of different versions"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if slices.Contains(tt.request, site) && os.Getuid() != 0 {
				t.Skip("the plugin takes a site file of root's only")
			}
			request := append([]string{"env=HOME=" + dir, "env=HPC3_CONFIG="}, tt.request...)
			answer := submit(strings.Join(request, "\x00") + "\x00")
			var got []string
			if answer != "" {
				got = strings.Split(strings.TrimSuffix(answer, "\x00"), "\x00")
			}
			ok := len(got) == len(tt.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(got[i], tt.want[i])
			}
			if !ok {
				t.Errorf("the answer is %q, want words that begin with %q", got, tt.want)
			}
		})
	}
}
