package main

// usage is what --help prints, in 80 columns.
const usage = `Usage: hpc3-run [OPTION...] IMAGE [--] [COMMAND [ARG...]]

Runs COMMAND in the image that suits this node best; without COMMAND, an
interactive login shell. Options stand before IMAGE.

  hpc3-run qnib/gromacs:2021.5 gmx mdrun -s water.tpr

IMAGE is one of
  NAME[:TAG][@DIGEST]       a name in a registry: docker.io, unless it begins
                            with another, as in ghcr.io/org/name:tag
  oci:DIR[:TAG]             a directory with an OCI layout
  oci-archive:FILE[:TAG]    the same in a tar file
  docker-archive:FILE[:TAG] what docker save writes
  sif:FILE, or FILE.sif     a SIF

What the container has:
  -B, --container-mounts SRC[:DST[:OPTS]]
                            bind a file or directory of the node; OPTS are ro rw
                            nosuid nodev noexec, joined by +; tmpfs:DST is an
                            empty directory in memory
  -w, --container-workdir DIR
                            working directory (default: the current one)
  -e, --container-env NAME[=VALUE]
                            set a variable, or pass the caller's
      --container-env-file FILE
                            set or pass the variables of FILE, which is docker's
      --container-clean-env, --no-container-clean-env
                            of the caller's variables pass those of a login and
                            of the job alone, or all (default)
      --container-mount-home, --no-container-mount-home
                            the home directory is bound (default), or not
      --container-writable, --container-readonly
                            a writable layer that is thrown away, or none
                            (default)
      --keep-privs          root keeps its capabilities

How COMMAND starts:
      --container-entrypoint login|image|none
                            in a login shell (default), by the image's own
                            ENTRYPOINT and CMD, or as it is
      --container-dotfiles, --no-container-dotfiles
                            the login shell reads ~/.bash_profile or ~/.profile,
                            or not (default)
      --prompt TEXT         what stands before the shell's prompt, or no
      --container-share, --no-container-share
                            the tasks of a step on a node share a container
                            (default), or have one each
      --no-container        run COMMAND on the node, without IMAGE

Which image it is:
      --platform P          choose for P, as linux/amd64:zen3, not for this node
      --nodes-file FILE     one choice for all nodes that FILE describes
      --variant POSITION|DIGEST
                            take this entry; hpc3 explain IMAGE lists them
      --variants auto|index|tags
                            look for variants in the index, else among the tags
                            (default), or in one of these only
      --force               run an entry even if it is not for this node
      --pull missing|always|never
                            ask the registry for what the cache lacks (default),
                            each time, or not at all
      --authfile FILE       registry credentials (default: docker's, podman's)

How it is run:
      --engine auto|apptainer|native
                            Apptainer where it works, else hpc3's own (default),
                            or only the one named
      --squashfs auto|builtin|squashfuse|kernel
                            what reads the image for hpc3's own engine
      --dry-run             print what would run and why, and stop there
      --json                print that as JSON
      --time                print what each step cost

  -q, --quiet               say less
  -v, --verbose             say what is done, and why
  -d, --debug               say more still
      --version             print the version
  -h, --help                print this

Every option is also a variable, as HPC3_ENGINE, and a key of hpc3.toml.
Exit status: the command's own; 125 hpc3-run failed, 126 the command cannot be
executed, 127 it is not in the image, 128+N signal N ended it.
More: man hpc3-run; man hpc3-habits, for who knows docker, Apptainer or pyxis.
`
