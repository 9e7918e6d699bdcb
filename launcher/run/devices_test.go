package run_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// A container's /dev holds what programs expect, and nothing of the node's disks, memory and
// consoles.
func TestSmallDev(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) {
			got := l.run(t, start{who: who, plan: config(flatPlan{}), command: []string{"bash", "-c", `ls /dev; echo --
echo in | cat /dev/stdin; { echo err >/dev/stderr; } 2>&1 | cat; echo out | { cat >/dev/stdout; } | cat; echo x >/dev/null && readlink /dev/fd
dd if=/dev/zero of=/dev/shm/hpc3-$$ bs=10 count=1 2>/dev/null && rm /dev/shm/hpc3-$$ && echo shm
touch /dev/new 2>/dev/null || echo read-only`}})
			names, rest, _ := strings.Cut(got.stdout, "--\n")
			list := strings.Fields(names)
			for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "fuse", "shm", "fd", "stdin", "stdout", "stderr"} {
				if !slices.Contains(list, name) {
					t.Errorf("/dev/%s is missing", name)
				}
			}
			for _, name := range []string{"kmsg", "mem", "sda", "vda", "loop0", "tty1", "console", "nvme0n1"} {
				if slices.Contains(list, name) {
					t.Errorf("/dev/%s of the node is in the container", name)
				}
			}
			if want := "in\nerr\nout\n/proc/self/fd\nshm\nread-only\n"; rest != want {
				t.Errorf("printed %q, want %q; stderr %s", rest, want, got.stderr)
			}
		})
	}
}

func TestBindsBelowDev(t *testing.T) {
	l := need(t)
	for _, tt := range []struct {
		name, source, target, script, want string
	}{
		{"a device", "/dev/fuse", "/dev/fuse", "stat -c %F /dev/fuse", "character special file\n"},
		{"below a directory that is not there", "/dev/null", "/dev/a/b", "echo x >/dev/a/b && stat -c %t:%T /dev/a/b", "1:3\n"},
		{"all of it", "/dev", "/dev", "stat -c %F /dev/fuse /dev/null /dev/pts", "character special file\ncharacter special file\ndirectory\n"},
	} {
		got := l.run(t, start{who: unknown, plan: config(flatPlan{Mounts: []option.Mount{{Source: tt.source, Target: tt.target}}}), command: []string{"sh", "-c", tt.script}})
		if got.stdout != tt.want {
			t.Errorf("%s: printed %q, want %q; stderr %s", tt.name, got.stdout, tt.want, got.stderr)
		}
	}
}

// gpus makes the node of a test one with two GPUs and a fabric. The files need not be devices.
const gpus = `mount -t tmpfs -o mode=755 x /opt; mkdir /opt/dev /opt/cdi /opt/usr
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /opt/dev; mkdir /opt/dev/shm /opt/dev/pts /opt/dev/infiniband; chmod 1777 /opt/dev/shm
touch /opt/dev/fuse; mount --bind /dev/fuse /opt/dev/fuse
for f in nvidia0 nvidia1 nvidiactl infiniband/uverbs0; do mknod -m 666 /opt/dev/$f c 1 3; done
mount --rbind /opt/dev /dev
`

func TestGPUs(t *testing.T) {
	l := need(t)
	lib := filepath.Join(shared(t), "libcuda.so.999")
	if err := os.WriteFile(lib, []byte("driver\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(shared(t), "nvidia.yaml")
	if err := os.WriteFile(spec, []byte(`cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  mounts: [{hostPath: `+lib+`, containerPath: /usr/lib64/libcuda.so.999, options: [ro]}]
  hooks: [{hookName: createContainer, path: /x, args: [x, create-symlinks, --link, "libcuda.so.999::/usr/lib64/libcuda.so.1"]}]
devices:
- {name: "0", containerEdits: {env: [GPU_ENV=yes], deviceNodes: [{path: /dev/nvidia0}]}}
- {name: "1", containerEdits: {deviceNodes: [{path: /dev/nvidia1}]}}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	cdi := gpus + "mount -t tmpfs -o mode=755 x /run; mkdir -p /run/cdi; cp " + spec + " /run/cdi/\n"
	show := []string{"sh", "-c", "cd /dev; ls -d nvidia* infiniband; cat /lib/*/libcuda.so.1; echo $GPU_ENV"}
	for _, who := range callers {
		for _, tt := range []struct {
			name, before, visible, want string
		}{
			{"known driver", gpus, "all", "infiniband\nnvidia0\nnvidia1\nnvidiactl\n\n"},
			{"none", gpus, "none", "infiniband\n\n"},
			{"CDI", cdi, "all", "infiniband\nnvidia0\nnvidia1\ndriver\nyes\n"},
			{"CDI, one", cdi, "1", "infiniband\nnvidia1\ndriver\n\n"},
		} {
			env := []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin", "NVIDIA_VISIBLE_DEVICES=" + tt.visible}
			got := l.run(t, start{who: who, plan: config(flatPlan{}, "NVIDIA_VISIBLE_DEVICES=all"), command: show, before: tt.before, env: env})
			if got.stdout != tt.want {
				t.Errorf("%s, %s: printed %q, want %q; stderr %s", who.name, tt.name, got.stdout, tt.want, got.stderr)
			}
		}
	}
}

// places are where a launcher of MPI left something for its ranks.
const places = "mount -t tmpfs -o mode=755 x /run; mkdir /run/pmix /run/munge; touch /run/pmix/socket\n"

func TestPlacesOfMPI(t *testing.T) {
	l := need(t)
	for _, who := range callers {
		env := []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin", "PMIX_SERVER_TMPDIR=/run/pmix", "PMIX_SECURITY_MODE=munge", "UCX_TLS=all", "FI_PROVIDER=tcp"}
		got := l.run(t, start{who: who, plan: config(flatPlan{}), before: places, env: env, command: []string{"sh", "-c", "ls -d /run/pmix/* /run/munge; echo $UCX_TLS $FI_PROVIDER"}})
		if want := "/run/munge\n/run/pmix/socket\nall tcp\n"; got.stdout != want || !strings.Contains(got.stderr, "note: MPI: /run/pmix /run/munge\n") {
			t.Errorf("%s: printed %q, want %q; stderr %s", who.name, got.stdout, want, got.stderr)
		}
	}
}

// What Apptainer is told of GPUs and of MPI's places; a program that prints its arguments stands
// for it.
func TestDevicesUnderApptainer(t *testing.T) {
	l := need(t)
	stand := filepath.Join(shared(t), "apptainer")
	if err := os.WriteFile(stand, []byte("#!/bin/sh\necho \"$* gpus=$APPTAINERENV_CUDA_VISIBLE_DEVICES\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, before string
		env, want    []string
		not          string
	}{
		{"nothing there", "", nil, []string{"exec"}, "--nv"},
		{"GPUs", gpus, nil, []string{"--nv"}, "gpus=0"},
		{"one GPU", gpus, []string{"NVIDIA_VISIBLE_DEVICES=0"}, []string{"--nv", "gpus=0"}, ""},
		{"no GPU", gpus, []string{"NVIDIA_VISIBLE_DEVICES=none"}, nil, "--nv"},
		{"MPI", places, []string{"PMIX_SERVER_TMPDIR=/run/pmix"}, []string{"--mount type=bind,source=/run/pmix,destination=/run/pmix"}, "munge"},
	} {
		plan := config(flatPlan{Engine: option.Apptainer, Apptainer: stand})
		got := l.run(t, start{who: unknown, plan: plan, before: tt.before, env: append([]string{"HOME=/nonexistent", "PATH=/usr/bin:/bin"}, tt.env...), command: []string{"true"}})
		for _, want := range tt.want {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: %q lacks %q; stderr %s", tt.name, got.stdout, want, got.stderr)
			}
		}
		if tt.not != "" && strings.Contains(got.stdout, tt.not) || got.stdout == "" {
			t.Errorf("%s: %q; stderr %s", tt.name, got.stdout, got.stderr)
		}
	}
}

// An image's cuda-compat goes before the driver's libcuda, by either engine, where that is of an
// older CUDA; an image that does not have what it was chosen for is not started.
func TestCUDACompat(t *testing.T) {
	l := need(t)
	const compat = "/usr/local/cuda/compat"
	shell := tree{"etc/passwd": text("root:x:0:0:root:/root:/bin/sh\n"), "etc/group": text("root:x:0:\n"), "usr/bin/sh": host("/usr/bin/dash"), "usr/bin/cat": host(""), "bin": link("usr/bin"), "lib": link("usr/lib"), "lib64": link("usr/lib64"), "usr/local/cuda": link("/etc/alternatives/cuda"), "etc/alternatives/cuda": link("/usr/local/cuda-12.9")}
	var with, without string
	err := l.image(&with, "compat.sqfs", shell, tree{"usr/local/cuda-12.9/compat/libcuda.so.575.57.08": text("user's part\n"), "usr/local/cuda-12.9/compat/libcuda.so.1": link("libcuda.so.575.57.08")})
	if err == nil {
		err = l.image(&without, "nocompat.sqfs", shell, tree{"usr/local/cuda-12.9/lib64/libcudart.so.12": text("")})
	}
	if err != nil {
		t.Fatal(err)
	}
	stand := filepath.Join(shared(t), "apptainer")
	if err := os.WriteFile(stand, []byte("#!/bin/sh\necho \"$APPTAINERENV_LD_LIBRARY_PATH\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	driver := func(version, model string) string {
		return gpus + "mount -t tmpfs -o mode=755 x /proc/driver; mkdir -p /proc/driver/nvidia/gpus/0 /proc/driver/nvidia/gpus/1\n" +
			"echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + version + "  Tue' >/proc/driver/nvidia/version\n" +
			"for n in 0 1; do printf 'Model: " + model + "\\nDevice Minor: %s\\n' $n >/proc/driver/nvidia/gpus/$n/information; done\n"
	}
	old, young, desktop := driver("535.161.08", "NVIDIA H100 80GB HBM3"), driver("580.65.06", "NVIDIA H100 80GB HBM3"), driver("535.161.08", "NVIDIA GeForce RTX 4090")
	image := []string{"PATH=/usr/bin:/bin", "LD_LIBRARY_PATH=/opt/lib"}
	for _, tt := range []struct {
		name, before, sif, needed string
		env                       []string // of the image
		set                       []string // by -e
		want, said                string
	}{
		{"an older driver", old, with, "12.9", nil, nil, compat, "note: NVIDIA: " + compat + " of the image goes before the libcuda of driver 535.161.08: CUDA 12.9"},
		{"before what the image sets", old, with, "12.9", image, nil, compat + ":/opt/lib", ""},
		{"before what the user sets", old, with, "", image, []string{"LD_LIBRARY_PATH=/mine"}, compat + ":/mine", ""},
		{"a newer driver", young, with, "12.9", image, nil, "/opt/lib", "not using " + compat},
		{"a desktop GPU", desktop, with, "", image, nil, "/opt/lib", "NVIDIA GeForce RTX 4090 is none"},
		{"no GPU", "", with, "", image, nil, "/opt/lib", ""},
		{"a word that lied", old, without, "12.9", nil, nil, "", "error[nomatch]: the image has to bring CUDA 12.9 by its cuda-compat, because driver 535.161.08 lacks it; but it has no libcuda in " + compat},
		{"a word that lied where it does not matter", young, without, "12.9", image, nil, "/opt/lib", ""},
	} {
		for _, engine := range []option.Engine{option.Native, option.Apptainer} {
			flat := flatPlan{SIF: tt.sif, CUDACompat: tt.needed, SetEnv: tt.set, Engine: engine}
			if engine == option.Apptainer {
				flat.Apptainer = stand
			}
			got := l.run(t, start{who: unknown, plan: config(flat, tt.env...), before: tt.before, env: []string{"HOME=/nonexistent", "PATH=/usr/bin:/bin"}, command: []string{"sh", "-c", "echo $LD_LIBRARY_PATH; cat /usr/local/cuda/compat/libcuda.so.1 2>/dev/null || :"}})
			lib, _, _ := strings.Cut(got.stdout, "\n")
			if lib != tt.want || !strings.Contains(got.stderr, tt.said) {
				t.Errorf("%s, %s: LD_LIBRARY_PATH %q, want %q; stderr %q, want %q", tt.name, engine, lib, tt.want, got.stderr, tt.said)
			}
			if refused := strings.HasPrefix(tt.said, "error["); refused != (got.status == 125) {
				t.Errorf("%s, %s: status %d; stderr %s", tt.name, engine, got.status, got.stderr)
			}
		}
	}
}
