package slurm

// inTool is what "module load tool" leaves, without the module tool.
const inTool = inTree + `B=$T/__hpc3/tool/2022/bin; export PATH=$B:$PATH LOADEDMODULES=tool/2022; `

// load is the real one, for scripts of jobs.
const load = `. /usr/share/modules/init/bash; module use $HOME/mods; module load tool`

// pids waits until a process of the background has become its command.
const pids = `started() { until [ "$(ps -o args= -p $1)" = "sleep 300" ]; do kill -0 $1 || exit 9; command -p sleep 0.05; done; }
`

// shimRows put the commands of a module to use.
var shimRows = []slurmRow{
	// Where shells and their friends call them.
	{name: "as the user would type it", text: inTool + `hello`, stdout: "hello from /opt/app"},
	{name: "a pipe", text: inTool + `printf 'b\na\n' | cat | sort | cat | tr ab xy; echo ${PIPESTATUS[*]}`, stdout: "0 0 0 0 0\nx\ny"},
	{name: "a pipe that nobody reads to its end", text: inTool + `perl -e 'print "x\n" x 1e6' | head -n 1; echo ${PIPESTATUS[0]}`, stdout: "141\nx"},
	{name: "much through a pipe", text: inTool + `head -c 50000000 /dev/zero | cat | sha256sum | cut -c1-16; head -c 50000000 /dev/zero | command -p sha256sum | cut -c1-16`, stdout: "(?s)(?P<sum>.{16})\n.{16}"},
	{name: "bytes", text: inTool + `head -c 300000 /dev/urandom >bytes; cat <bytes | cmp - bytes && cat bytes | cmp - bytes && echo same`, stdout: "same"},
	{name: "standard input is closed", text: inTool + `hello <&-; args <&- >out; command -p cat out`, stdout: "0:\nhello from /opt/app"},
	{name: "standard error", text: inTool + `perl -e 'print STDERR "err\n"; print "out\n"' 2>err; command -p cat err`, stdout: "err\nout"},
	{name: "a here-document", text: inTool + "cat <<END\nhere $((1+1))\nEND", stdout: "here 2"},
	{name: "a loop that reads", text: inTool + `seq 3 | while read -r i; do args $i </dev/null; done`, stdout: "1:<1>\n1:<2>\n1:<3>"},
	{name: "a file that is passed", text: inTool + `cat <(hello) 4<<<x; cat /dev/fd/4 4<<<four`, stdout: "four\nhello from /opt/app"},
	{name: "in the background", text: inTool + `hello & a=$!; leave 3 & b=$!; wait $a; echo $?; wait $b; echo $?`, stdout: "0\n3\nhello from /opt/app"},
	{name: "a subshell, and where it is", text: inTool + `mkdir -p 'sub dir'; (cd 'sub dir' && perl -MCwd -e 'print getcwd, "\n"'); (exec hello)`, stdout: "/home/tester/sub dir\nhello from /opt/app"},
	{name: "its output", text: inTool + `x=$(hello) y=$(args "$(hello)"); echo "$x; $y"`, stdout: "hello from /opt/app; 1:<hello from /opt/app>"},
	{name: "conditions", text: inTool + `leave 0 && hello; leave 1 || hello; if ! leave 5; then echo no; fi`, stdout: "hello from /opt/app\nhello from /opt/app\nno"},
	{name: "xargs at once", text: inTool + `seq 12 | xargs -P 4 -n 3 args | sort`, stdout: "3:<10><11><12>\n3:<1><2><3>\n3:<4><5><6>\n3:<7><8><9>"},
	{name: "xargs -0", text: inTool + `printf 'a b\0\0c\nd\0' | xargs -0 args`, stdout: "3:<a b><><c\nd>"},
	{name: "find", text: inTool + `mkdir -p found; touch 'found/a b' found/c; find found -type f -exec args {} \; -exec args x {} +`, stdout: "1:<found/a b>\n1:<found/c>\n3:<x>(<found/a b><found/c>|<found/c><found/a b>)"},
	{name: "make", text: inTool + `printf 'all: a b\na b:\n\t@args $@ "$$HOME" | cat\n' >Makefile; make -s -j2`, stdout: "2:<a></home/tester>\n2:<b></home/tester>"},
	{name: "many at once", text: inTool + `for i in $(seq 8); do args $i >many.$i & done; wait; command -p cat many.*`, stdout: "1:<1>\n1:<2>\n1:<3>\n1:<4>\n1:<5>\n1:<6>\n1:<7>\n1:<8>"},
	{name: "shells", text: inTool + `for sh in bash dash 'busybox sh' zsh tcsh; do command -v ${sh% sh} >/dev/null || sh=bash; $sh -c hello; done`, stdout: "(hello from /opt/app\n?){5}"},
	{name: "a script", text: inTool + `printf 'hello\nleave 4\n' >s.sh; sh s.sh; echo $?`, stdout: "4\nhello from /opt/app"},
	{name: "commands that run commands", text: inTool + `nohup hello 2>/dev/null; timeout 60 hello; nice hello; env A=1 printenv A; setsid -w hello; flock lock hello; command hello; eval hello; setpriv --no-new-privs hello`, stdout: "1\n(hello from /opt/app\n?){8}"},
	{name: "timeout ends it", text: inTool + `timeout 1 sleep 300; echo $?; timeout -s INT 1 sleep 300; echo $?; timeout -s KILL 1 sleep 300; echo $?`, stdout: "124\n124\n137"},

	// By name, by path, by link.
	{name: "an empty environment but for PATH", text: inTool + `env -i PATH=$PATH hello`, stdout: "hello from /opt/app"},
	{name: "an empty environment", text: inTool + `env -i $B/hello`, stdout: "hello from /opt/app"},
	{name: "as cron does", text: inTool + `env -i HOME=$HOME LOGNAME=tester SHELL=/bin/sh PATH=/usr/bin:/bin sh -c "$B/hello"`, stdout: "hello from /opt/app"},
	{name: "by a link", text: inTool + `ln -sfn $B/hello link; ./link; ln -sfn $T/__hpc3/tool way; way/2022/bin/hello`, stdout: "hello from /opt/app\nhello from /opt/app"},
	{name: "by a relative path", text: inTool + `cd $B; ./hello; cd ..; bin/hello`, stdout: "hello from /opt/app\nhello from /opt/app"},
	{name: "a shell that reads it", text: inTool + `sh $B/hello; bash $B/args 'a b'; busybox sh $B/hello`, from: 22, stdout: "1:<a b>\nhello from /opt/app\nhello from /opt/app"},
	{name: "two versions at once", text: inTool + `$T/__hpc3/tool/2021.5/bin/args 1 | $T/__hpc3/tool/2021.10/bin/cat | cat`, stdout: "1:<1>"},
	{name: "a script's first line", text: inTool + `printf '#!%s\nprint "perl @ARGV\\n";\n' $B/perl >first; chmod +x first; ./first 'a b' c`, stdout: "perl a b c"},
	{name: "a script's first line by env", text: inTool + `printf '#!/usr/bin/env perl\nprint "perl @ARGV\\n"; exit 6\n' >first; chmod +x first; ./first 'a b'; echo $?; $HOME/first`, stdout: "6\nperl \nperl a b", status: 6},
	{name: "two levels of first lines", text: inTool + `printf '#!%s\nprint "perl $#ARGV $ARGV[0]\\n";\n' $B/perl >one; printf '#!%s/one\n' $HOME >two; chmod +x one two; ./two x`, stdout: `perl 1 \./two`},

	// Arguments, status, signals, terminals.
	{name: "exact arguments", text: inTool + `args '' 'a  b' '*' '$HOME' "'" '"' '\' '\\n' '!' '~' -x -- --help '#' ';' '&' '{a,b}' ' '`, stdout: `18:<><a  b><\*><\$HOME><'><"><\\><\\\\n><!><~><-x><--><--help><#><;><&><{a,b}>< >`},
	{name: "exact arguments, lines and bytes", text: inTool + `args $'a\nb' $'\xff\xfe\x01' $'\t' | od -An -tx1 | tr -d ' \n'`, stdout: "333a3c610a623e3cfffe013e3c093e0a"},
	{name: "a long argument, and many", text: inTool + `x=$(head -c 100000 /dev/zero | tr '\0' x); args "$x" | wc -c; args $(seq 5000) | cut -d: -f1`, stdout: "100005\n5000"},
	{name: "options are the command's", text: inTool + `args --container-workdir=/ -B /x:/y --dry-run --help`, stdout: "5:<--container-workdir=/><-B></x:/y><--dry-run><--help>"},
	{name: "status", text: inTool + `for i in 0 1 2 77 125 126 127 128 255; do leave $i; echo $?; done | xargs`, stdout: "0 1 2 77 125 126 127 128 255"},
	{name: "it ends by a signal", text: inTool + `for s in SEGV ABRT TERM INT KILL; do bash -c "perl -e 'kill $s, \$\$; sleep 9'; echo \$?" 2>/dev/null; done | xargs`, stdout: "139 134 143 130 137"},
	{name: "signals, and its pid", native: true, text: inTool + pids + `set -m; for s in TERM INT KILL HUP USR1; do sleep 300 & p=$!; started $p; kill -$s $p; wait $p; echo $?; done 2>/dev/null >ends; xargs <ends`, stdout: "143 130 137 129 138"},
	{name: "a terminal", text: inTool + `script -qec "perl -e 'print -t STDIN, -t STDOUT, qq(\n)'" /dev/null | tr -d '\r'`, stdout: "11"},
	{name: "job control", text: inTool + `script -qec 'bash --norc -i' /dev/null <<'END' | tr -d '\r' | grep -aoE '(state [A-Z]|ended [0-9]+)'
until [ "$(ps -o args= -p ${p-1})" = "sleep 300" ]; do [ "$p" ] || { sleep 300 & p=$!; }; command -p sleep 0.1; done
kill -STOP %1; command -p sleep 0.2; echo state $(ps -o stat= -p $p | cut -c1)
kill -CONT %1; command -p sleep 0.2; echo state $(ps -o stat= -p $p | cut -c1)
kill %1; wait %1; echo ended $?
exit
END`, stdout: "ended 143\nstate [DRS]\nstate T"},
	{name: "umask and limits", text: inTool + `umask 027; ulimit -Sn 300; perl -e 'printf "%03o\n", umask; exec "sh", "-c", "ulimit -n"'`, stdout: "027\n300"},

	// What reaches the command, and what does not.
	{name: "variables", text: inTool + `A='x  "y"' EMPTY= printenv A EMPTY; printenv HPC3_SHIM HPC3_SHIM_INSIDE; echo $?`, stdout: "\n1\nx  \"y\""},
	{name: "options in front", text: inTool + `mkdir -p bound; echo seen >bound/file; HPC3_CONTAINER_MOUNTS=$HOME/bound:/m cat /m/file; HPC3_CONTAINER_WORKDIR=/opt perl -MCwd -e 'print getcwd, "\n"'; HPC3_CONTAINER_ENV=A=1 printenv A`, stdout: "/opt\n1\nseen"},
	{name: "the engine in front", text: inTool + `HPC3_ENGINE=none hello`, status: 125, stderr: `hpc3-run: error\[usage\]: .*none`},
	{name: "-v in front", text: inTool + `HPC3_VERBOSE=1 hello`, stdout: "hello from /opt/app", stderr: "(?s)node: .*choice: .*image: "},
	{name: "options of the module", text: inTree + `mkdir -p bound; echo seen >bound/file; b=$T/__hpc3/bound/1/bin; HPC3_CONTAINER_MOUNTS=$HOME/bound:/m HPC3_CONTAINER_ENV=MINE=1 $b/perl -e 'print "$ENV{SITE} $ENV{MINE} ", -d "/given", -e "/m/file", "\n"'`, stdout: "1 1 11"},
	{name: "the variant that suits", text: inTool + `where; HPC3_LABELS=wide where`, stdout: "plain nowhere\nwide nowhere"},

	// What goes wrong.
	{name: "the image lacks the command", text: inTree + `export LOADEDMODULES=liar/1; $T/__hpc3/liar/1/bin/hello; $T/__hpc3/liar/1/bin/nosuch`, stdout: "hello from /opt/app", status: 127, stderr: `(?s)hpc3-run: error\[exec\]: running "nosuch".*hpc3-run: hint: nosuch is a command of the module liar/1, which is loaded`},
	{name: "the image lacks the command, without a login shell", text: inTree + `HPC3_CONTAINER_ENTRYPOINT=none $T/__hpc3/liar/1/bin/nosuch`, status: 127, stderr: `(?s)hpc3-run: error\[exec\]: running "nosuch".*hpc3-run: hint: nosuch is a command of the module liar/1, which is not loaded any more`},
	{name: "the image has vanished", text: inTree + `LOADEDMODULES=gone/1 HPC3_CACHEDIR=$HOME/.cache/gone $T/__hpc3/gone/1/bin/hello`, status: 125, stderr: `(?s)hpc3-run: error\[reference\].*hpc3-run: hint: hello is a command of the module gone/1, which is loaded`},
	{name: "the image has vanished, and so has the module", text: inTree + `HPC3_CACHEDIR=$HOME/.cache/gone $T/__hpc3/gone/1/bin/hello`, status: 125, stderr: `(?s)hpc3-run: error\[reference\].*hpc3-run: hint: hello is a command of the module gone/1, which is not loaded any more`},
	{name: "hpc3-run is gone", text: inTree + `mkdir -p own; cp /lab/bin/hpc3 /lab/bin/hpc3-run own; own/hpc3 module -q -o lost --name tool/1 $TOOL:tool >/dev/null; rm -r own; lost/__hpc3/tool/1/bin/hello; echo $?; PATH=/lab/bin:$PATH lost/__hpc3/tool/1/bin/hello`, stdout: "125\nhello from /opt/app", stderr: `\Ahpc3-run: error\[engine\]: `},
	{name: "it is called by what it calls", text: inTool + `HPC3_SHIM=tool/2022 hello`, status: 125, stderr: `hpc3-run: error\[engine\]: `},

	// Inside of containers.
	{name: "inside of the same image", text: inTool + `/lab/bin/hpc3-run -q $TOOL:tool bash -c "PATH=$B:\$PATH; hello; args 'a b'; leave 3; echo \$?; space" >in; /lab/bin/hpc3-run -q $TOOL:tool bash -c "$B/hello; perl -e 'print qq(perl\n)'"; head -n 3 in`, stdout: "1:<a b>\n3\nhello from /opt/app\nhello from /opt/app\nperl"},
	{name: "inside of the same image there is one container", text: inTool + `/lab/bin/hpc3-run -q $TOOL:tool bash -c "readlink /proc/self/ns/mnt; $B/space" | uniq | wc -l`, stdout: "1"},
	{name: "a command that calls another of its module", text: inTool + `perl -e 'system "hello"; system "'$B/hello'"; print $? >> 8, "\n"'`, stdout: "0\nhello from /opt/app\nhello from /opt/app"},
	{name: "inside of another image", text: inTool + `/lab/bin/hpc3-run -q $IMAGE $B/hello`, status: 125, stderr: `hpc3-run: error\[engine\]: .*tool/2022`},

	// In steps and jobs.
	{name: "srun", text: inTool + `srun hello`, stdout: "hello from /opt/app"},
	{name: "srun on nodes of two types", text: inTool + `srun -N3 where`, stdout: "plain n1\nplain n3\nwide n2"},
	{name: "srun by its path, without an environment", text: inTool + `srun --export=NONE $B/hello`, stdout: "hello from /opt/app"},
	{name: "srun --export=NAME", text: inTool + `srun -n1 --export=PATH,A=1 printenv A`, stdout: "1"},
	{name: "tasks share one container", native: true, text: inTool + `rm -f up.*; srun -w n1 -n4 perl -e 'open F, ">up.$ENV{SLURM_PROCID}"; select undef, undef, undef, 0.05 until (() = <up.*>) == 4; print readlink("/proc/self/ns/mnt"), "\n"' | uniq -c | tr -s ' ' | cut -d' ' -f2`, stdout: "4"},
	{name: "srun's arguments, status and input", text: inTool + `srun args 'a b' '' '*'; echo line | srun cat; srun leave 7; echo $?; srun -n1 perl -e 'kill SEGV, $$'`, stdout: "3:<a b><><\\*>\n7\nline", status: 139},
	{name: "srun --pty", text: inTool + `script -qec "srun --pty perl -e 'print -t STDIN, qq(\n)'" /dev/null | tr -d '\r'`, stdout: "(?s).*1"},
	{name: "srun of a shell", text: inTool + `srun -n2 -N2 -w n1,n2 bash -c 'where | cat'`, stdout: "plain n1\nwide n2"},
	{name: "--multi-prog", text: inTool + `printf '0 hello\n1 args %%t a\n2 echo host\n' >multi; srun -n3 --multi-prog multi`, stdout: "2:<1><a>\nhello from /opt/app\nhost"},
	{name: "components of a step", text: inTool + `srun -n1 -w n1 where : -n1 -w n2 where`, stdout: "plain n1\nwide n2"},
	{name: "module load in a batch script", from: 22, text: job + `printf '#!/bin/bash\n` + load + `\nhello; srun -N2 -n2 where; args $LOADEDMODULES\n' | job -N2 -w n1,n2`, stdout: "1:<tool/2022>\nhello from /opt/app\nplain n1\nstate JobState=COMPLETED ExitCode=0:0 \nwide n2"},
	{name: "the environment of sbatch", text: inTool + job + `printf '#!/bin/sh\nhello; srun hello; leave 3\n' | job`, stdout: "hello from /opt/app\nhello from /opt/app\nstate JobState=FAILED ExitCode=3:0 "},
	{name: "salloc", text: inTool + `salloc -Q -n2 -N2 -w n1,n2 sh -c 'where; srun where'`, stdout: "plain n1\nplain nowhere\nwide n2"},
	{name: "a script in a job with an image", text: inTool + job + `printf '#!/bin/bash\nhello; leave 2; echo $?; srun --container=none hello; srun hello\n' | job --container=$IMAGE`, stdout: "2\nhello from /opt/app\nhello from /opt/app\nhello from /opt/app\nstate JobState=COMPLETED ExitCode=0:0 "},
	{name: "a step in the same image", text: inTool + `srun --container=$TOOL:tool bash -c "PATH=$B:\$PATH; where; readlink /proc/self/ns/mnt; space" | uniq | wc -l; srun -w n1 --container=$TOOL:tool $B/where`, stdout: "2\nplain n1"},
	{name: "--container=none", text: inTool + `srun --container=none hello; salloc -Q -n1 -w n1 --container=$IMAGE srun --container=none where`, stdout: "hello from /opt/app\nplain n1"},
}

// throughApptainer names the rows that are for the other engine too.
var throughApptainer = []string{
	"as the user would type it", "a pipe", "bytes", "an empty environment", "a script's first line", "exact arguments", "status", "variables",
	"options in front", "options of the module", "it is called by what it calls", "inside of the same image", "inside of another image", "srun on nodes of two types",
	"srun's arguments, status and input", "--multi-prog",
}
