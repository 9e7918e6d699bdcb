package engine

import "strings"

// vars has the caller write a file of variables before it calls hpc3-run. Both engines do at once:
// the file is whole when it is there.
func vars(name, text string) string {
	return `cd; cat >` + name + `.$$ <<\END` + "\n" + text + "END\nmv " + name + `.$$ ` + name + `; exec "$@"`
}

func parityEnvFiles() []parity {
	odd := " 'a b' \"c\" $d `e` \\ # f"
	missing := `error\[usage\]: reading variables from no-such: no such file or directory\n$`
	return []parity{
		{name: "a file of variables", flags: []string{"--container-env-file", "v1"}, call: vars("v1", "# comment\n\n\t V="+odd+"\nE=\n"), args: sh(`printf '%s|' "$V" "${E-unset}"`), want: answer{stdout: odd + "||"}},
		{name: "a file of variables, none", flags: plain("--container-env-file", "v2"), call: vars("v2", "V="+odd+"\n"), args: []string{"printenv", "V"}, want: answer{stdout: odd + "\n"}},
		{name: "a file before ENV", image: "env", flags: []string{"--container-env-file", "v3"}, call: vars("v3", "BOTH=file\n"), args: []string{"printenv", "BOTH"}, want: answer{stdout: "file\n"}},
		{name: "a file that passes", image: "env", flags: []string{"--container-env-file", "v4"}, env: []string{"BOTH=host", "PYTHONPATH=/mine"}, call: vars("v4", "BOTH\nPYTHONPATH\nNOSUCH\n"), args: sh("echo $BOTH $PYTHONPATH ${NOSUCH-unset}"), want: answer{stdout: "host /mine unset\n"}},
		{name: "files, and -e", flags: []string{"-e", "A=1", "--container-env-file", "v5", "--container-env-file", "v6"}, call: strings.Replace(vars("v6", "A=6\nC=6\n"), "cd;", "cd; printf 'A=5\\nB=5\\nC=5\\n' >v5;", 1), args: sh("echo $A $B $C"), want: answer{stdout: "1 5 6\n"}},
		{name: "HPC3_CONTAINER_ENV_FILE", env: []string{"HPC3_CONTAINER_ENV_FILE=v7"}, call: vars("v7", "A=7\n"), args: []string{"printenv", "A"}, want: answer{stdout: "7\n"}},
		{name: "variables from standard input", flags: []string{"--container-env-file", "/dev/stdin"}, call: `cd; echo A=8 | "$@"`, args: []string{"printenv", "A"}, want: answer{stdout: "8\n"}},
		{name: "variables of a process", call: `exec "$1" --container-env-file <(sleep 0.1; echo A=9) "${@:2}"`, args: []string{"printenv", "A"}, want: answer{stdout: "9\n"}},
		{name: "names that are no shell's", flags: []string{"-e", "a.b=1", "--container-env-file", "v8"}, call: vars("v8", "1x=2\nc-d=3\n"), args: []string{"printenv", "a.b", "1x", "c-d"}, want: answer{stdout: "1\n2\n3\n"}},
		{name: "names that are no shell's, none", flags: plain("-e", "a.b=1"), args: []string{"printenv", "a.b"}, want: answer{stdout: "1\n"}},
		{name: "names that are no shell's, ash", image: "ash", flags: []string{"-e", "a.b=1"}, args: []string{"printenv", "a.b"}, want: answer{stdout: "1\n"}},
		{name: "names that are no shell's, no shell", image: "bare", flags: []string{"-e", "a.b=1"}, args: []string{"printenv", "a.b"}, want: answer{stdout: "1\n"}, other: map[string]answer{"apptainer": {status: 125, stderr: `error\[engine\]: setting "a.b"`}}, differ: "names"},
		{name: "PATH of a file", flags: []string{"--container-env-file", "v9"}, call: vars("v9", "PATH=/opt/own:/usr/bin\n"), args: []string{"own"}, want: answer{stdout: "own\n"}},
		{name: "a file of variables that is not there", flags: []string{"--container-env-file", "no-such"}, args: []string{"true"}, want: answer{status: 125, stderr: missing}},
		{name: "a file with a mistake", flags: []string{"--container-env-file", "v10"}, call: vars("v10", "A=1\nexport B=2\n"), args: []string{"true"}, want: answer{status: 125, stderr: `error\[usage\]: v10:2: white space stands in the name\nhpc3-run: hint: `}},
	}
}

// parityCleanEnv compares the variables that the command keeps with a list: nothing more and
// nothing less.
func parityCleanEnv() []parity {
	clean := func(more ...string) []string { return append([]string{"--container-clean-env"}, more...) }
	callers := []string{"MINE=1", "OMP_NUM_THREADS=4", "UCX_TLS=rc", "PYTHONPATH=/host", "HPC3_LABELS=x", "SHLVL=3", "x.y=1", "XDG_RUNTIME_DIR=/run/user/4242", "TZ=UTC"}
	left := []string{"LANG=C.UTF-8", "USER=tester", "COLORTERM=truecolor", "https_proxy=http://proxy:1"}
	job := []string{"SLURM_JOB_ID=1", "SLURM_PROCID=0", "SLURMD_NODENAME=n1", "PMI_RANK=0", "PMIX_RANK=0", "OMPI_COMM_WORLD_RANK=0", "CUDA_VISIBLE_DEVICES=1", "NVIDIA_VISIBLE_DEVICES=none", "TMPDIR=/tmp"}
	var names []string
	for _, e := range append(append([]string{"TERM=", "HOME=", "LOGNAME=", "SHELL=", "PATH="}, left...), job...) {
		name, _, _ := strings.Cut(e, "=")
		names = append(names, name)
	}
	check := `for v in ` + strings.Join(names, " ") + `; do eval "[ -n \"\${$v+x}\" ]" || echo "$v is missing"; done; env | while IFS= read -r l; do case " ` + strings.Join(names, " ") + ` " in *" ${l%%=*} "*) ;; *) echo "$l";; esac; done`
	told := `HPC3_(IMAGE_REF|IMAGE_DIGEST|VARIANT|INDEX_DIGEST)|PWD|OLDPWD|SHLVL|_|PROFILE_RAN` // by hpc3-run, the shell and the image
	only := func(names string) answer { return answer{like: `^((` + names + `)=[^\n]*\n|UCX_TLS=\^posix,cma\n)*$`} }
	row := func(name, image string, flags ...string) parity {
		return parity{
			name: name, image: image, flags: clean(flags...), env: append(append(append([]string{}, callers...), left...), job...), args: sh(check),
			want: only(told), other: map[string]answer{"apptainer": only(told + `|(APPTAINER|SINGULARITY)[A-Z_]*|LD_LIBRARY_PATH|OMPI_MCA_btl_vader_single_copy_mechanism`)}, differ: "apptainer-settings",
		}
	}
	return []parity{
		row("a clean environment", "bash"),
		row("a clean environment, sh", "sh"),
		row("a clean environment, none", "bash", plain()...),
		{name: "a clean environment, no shell", image: "bare", flags: clean(), env: callers, args: sh("true"), want: answer{status: 127}},
		{name: "a clean environment, ENV", image: "env", flags: clean(), env: []string{"BOTH=host"}, args: []string{"printenv", "BOTH"}, want: answer{stdout: "image\n"}},
		{name: "a clean environment, -e", flags: clean("-e", "MINE", "-e", "A=1"), env: callers, args: sh("echo $MINE $A ${OMP_NUM_THREADS-unset}"), want: answer{stdout: "1 1 unset\n"}},
		{name: "a clean environment, a file", flags: clean("--container-env-file", "v11"), env: callers, call: vars("v11", "MINE\nB=2\n"), args: sh("echo $MINE $B ${OMP_NUM_THREADS-unset}"), want: answer{stdout: "1 2 unset\n"}},
		{name: "a clean environment, a name that is no shell's", flags: clean("-e", "x.y"), env: []string{"x.y=1", "x.z=2"}, args: []string{"printenv", "x.y", "x.z"}, want: answer{stdout: "1\n", status: 1}},
		{name: "a clean environment, what names a file", flags: clean("-e", "XDG_RUNTIME_DIR"), env: []string{"XDG_RUNTIME_DIR=/run/user/4242"}, args: sh(`test -O "$XDG_RUNTIME_DIR" && echo there`), want: answer{stdout: "there\n"}},
		{name: "a clean environment, what misleads", flags: clean("-v"), env: []string{"LD_PRELOAD=/no/such.so", "LC_ALL=de_DE.UTF-8"}, args: sh("echo ${LD_PRELOAD-unset} ${LC_ALL-unset}"), want: answer{stdout: "unset unset\n", stderr: "not passed on: .*LC_ALL"}},
		{name: "HPC3_CONTAINER_CLEAN_ENV", env: []string{"HPC3_CONTAINER_CLEAN_ENV=yes", "MINE=1"}, args: sh("echo ${MINE-unset}"), want: answer{stdout: "unset\n"}},
		{name: "--no-container-clean-env", env: []string{"HPC3_CONTAINER_CLEAN_ENV=yes", "MINE=1"}, flags: []string{"--no-container-clean-env"}, args: sh("echo ${MINE-unset}"), want: answer{stdout: "1\n"}, differ: "host-environment"},
	}
}
