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
	script := filepath.Join(dir, "job.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n#SBATCH --container=h:5000#a/b:1\n#SBATCH --site-env=A=#1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "hpc3.toml")
	if err := os.WriteFile(config, []byte("unreachable = \"error\"\nlocked = [\"engine\"]\nengine = \"native\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := filepath.Join(dir, "vars")
	if err := os.WriteFile(vars, []byte("A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Nobody answers at this port of loopback.
	const again = "note the job is submitted all the same"
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
		{"a file of variables", []string{"image=" + image, "option=container-env-file=" + vars}, []string{`set SLURM_HPC3_OPTIONS=[["container-env-file","` + vars + `"]]`, "unset SLURM_HPC3_PIN"}},
		{"a file of variables that is not there", []string{"image=" + image, "option=container-env-file=" + dir + "/no"}, []string{"set SLURM_HPC3_OPTIONS=", "error reading variables from " + dir + "/no: no such file or directory"}},
		{"a file with a mistake", []string{"image=" + image, "env=HPC3_CONTAINER_ENV_FILE=" + config}, []string{"error " + config + ":1: white space stands in the name", "error hint: "}},
		{"an option that is wrong", []string{"image=" + image, "option=container-mounts=a:b:c:d"}, []string{`error --container-mounts: mount "a:b:c:d" has more than three parts`}},
		{"an option of pyxis", []string{"other=container-image=nvcr.io#nvidia/pytorch:24.01"}, []string{"error --container-image is an option of pyxis, which this is not", "error hint: here it is --container=nvcr.io#nvidia/pytorch:24.01", "error hint: see man hpc3-habits"}},
		{"another one", []string{"other=container-remap-root="}, []string{"error --container-remap-root is", "error hint: leave it out: the command runs as you", "error hint: "}},
		{"a name that is wrong", []string{"image=UPPER"}, []string{"unset SLURM_HPC3_PIN", "error image reference", "error hint: "}},
		{"a file that is not there", []string{"image=/no/such.sif", "written=/no/such.sif"}, []string{"unset SLURM_HPC3_PIN", "note sif:/no/such.sif is not on this machine: no such file", again}},
		{"the same, and the home is the root", []string{"image=/no/such.sif", "written=/no/such.sif", "env=HOME=/"}, []string{"unset SLURM_HPC3_PIN", "note sif:/no/such.sif", again}},
		{"a file that is not in the home", []string{"image=" + dir + "/not.sif", "written=" + dir + "/not.sif"}, []string{"unset SLURM_HPC3_PIN", "error opening sif:" + dir + "/not.sif: no such file", "error hint: what only the nodes have"}},
		{"a relative file that is not there", []string{"image=oci:/no/such:tag", "written=oci:such:tag"}, []string{"unset SLURM_HPC3_PIN", "error opening oci:/no/such:tag: no such file", "error hint: what only the nodes have"}},
		{"a layout that is none", []string{"image=oci:" + dir, "written=oci:" + dir}, []string{"unset SLURM_HPC3_PIN", "error opening " + dir + "/index.json: no such file"}},
		{"a directory in the place of a file", []string{"image=sif:" + dir, "written=sif:."}, []string{"unset SLURM_HPC3_PIN", "error opening " + dir + ": it is a directory"}},
		{"a registry that does not answer", []string{"image=" + nobody}, []string{"unset SLURM_HPC3_PIN", "note reading " + nobody, again}},
		{"a proxy that is dead", []string{"image=registry.invalid/a/b:1", "env=HTTPS_PROXY=http://me:s3cret@127.0.0.1:9"}, []string{"unset SLURM_HPC3_PIN", "note reading registry.invalid/a/b:1: the proxy http://127.0.0.1:9 (HTTPS_PROXY) cannot be used", again}},
		{"a registry that does not answer, and the site refuses", []string{"image=" + nobody, site}, []string{"unset SLURM_HPC3_PIN", "error reading " + nobody, "error hint: "}},
		{"a step of a job that has settled it", []string{"image=" + nobody, "inherited=" + nobody, site, "env=SLURM_HPC3_PIN=" + nobody + " " + digest}, nil},
		{"a step of another image", []string{"image=" + nobody, "inherited=a/b", site, "env=SLURM_HPC3_PIN=a/b " + digest}, []string{"unset SLURM_HPC3_PIN", "error reading", "error hint: "}},
		{"a name with a digest", []string{"image=127.0.0.1:9/a/b@" + digest, site}, []string{"unset SLURM_HPC3_PIN"}},
		{"a key that is locked", []string{"image=" + image, site, "env=HPC3_ENGINE=apptainer"}, []string{"error ", "error hint: "}},
		{"an image that is cut short", []string{"image=h:5000", "written=h:5000", "script=" + script}, []string{"unset SLURM_HPC3_PIN", "error " + script + `:2: "h:5000#a/b:1" ends at its #`, "error hint: write h:5000/a/b:1", `error hint: put quotes around it: --container="h:5000#a/b:1"`}},
		{"an option that is cut short", []string{"image=" + image, "option=container-env=A=", "script=:", "script=-n1", "script=" + script, "script=" + config}, []string{"set SLURM_HPC3_OPTIONS=", "unset SLURM_HPC3_PIN", "error " + script + `:3: "A=#1" ends at its #`, `error hint: put quotes around it: --site-env="A=#1"`}},
		{"another image than the script's", []string{"image=" + image, "written=" + image, "script=" + script}, []string{"unset SLURM_HPC3_PIN"}},
		{"another option than the script's", []string{"image=" + image, "option=container-env=A=2", "script=" + script}, []string{"set SLURM_HPC3_OPTIONS=", "unset SLURM_HPC3_PIN"}},
		{"a registry without an image", []string{"image=127.0.0.1:9", "written=127.0.0.1:9", "script=-"}, []string{"unset SLURM_HPC3_PIN", `error image reference "127.0.0.1:9": it is a registry's name`, "error hint: in a line of #SBATCH", "error hint: docker://127.0.0.1:9"}},
		{"a platform of another system", []string{"image=" + image, "env=HPC3_PLATFORM=windows/amd64"}, []string{"unset SLURM_HPC3_PIN", "error --platform windows/amd64 asks for an image that no node of this cluster runs: it is for windows", "error hint: leave --platform out", "error hint: HPC3_FORCE=1"}},
		{"another version's word", []string{"image=" + image, "colour=red"}, []string{"error the plugin, spank_hpc3.so, is of another version, and its library, libhpc3spank.so, of hpc3 dev", "error hint: "}},
		{"another version", []string{"version=v9", "image=" + image}, []string{"error the plugin, spank_hpc3.so, is of hpc3 v9, and its library, libhpc3spank.so, of hpc3 dev", "error hint: "}},
		{"no version", []string{"version=", "image=" + image}, []string{"error the plugin, spank_hpc3.so, is of another version, and its library, libhpc3spank.so, of hpc3 dev", "error hint: "}},
		{"a step of a job of another version", []string{"image=" + image, "env=SLURM_HPC3_VERSION=1 v9"}, []string{"unset SLURM_HPC3_PIN"}},
		{"a step of a job of another protocol", []string{"image=" + image, "env=SLURM_HPC3_VERSION=0 v9"}, []string{"error starting a step of this job: it was submitted by hpc3 v9, whose protocol is 0", "error hint: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if slices.Contains(tt.request, site) && os.Getuid() != 0 {
				t.Skip("the plugin takes a site file of root's only")
			}
			request := append([]string{"version=dev", "env=HOME=" + dir, "env=HPC3_CONFIG="}, tt.request...)
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
