package engine

import (
	"fmt"
	"slices"
)

// withHome has a row start in a home of its own, in which all shells' files say so.
func withHome(row parity) parity {
	row.call = `HOME=$HOME/dot-$RANDOM$RANDOM; export HOME; mkdir -p "$HOME"; cd "$HOME" || exit
for f in .bash_profile .bash_login .profile .bashrc; do echo "DOT=\$DOT$f; export DOT; PATH=\$HOME/own:\$PATH; LD_LIBRARY_PATH=/host" >$f; done
exec "$@"`
	return row
}

// withProfile gives a row's image an /etc/profile of Debian's kind, and another script in
// profile.d.
func withProfile(row parity, script string) parity {
	row.call = fmt.Sprintf(`cd "$HOME" || exit; d=$(mktemp -d profile-XXXXXX) && cat >$d/site.sh <<'END'
%s
END
cat >$d/profile <<'END'
PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games
export PATH
for i in /etc/profile.d/*.sh; do if [ -r $i ]; then . $i; fi; done
unset i
END
export HPC3_CONTAINER_MOUNTS=$d/profile:/etc/profile,$d/site.sh:/etc/profile.d/site.sh
exec "$@"`, script)
	return row
}

// atPrompt is the end of a prompt; busybox' shell asks where the cursor is.
const atPrompt = `[$#>] (?:\x1b\[6n)?$`

func parityLogin() []parity {
	return slices.Concat(parityDotfiles(), parityProfiles(), parityPaths(), parityNames(), parityPrompts())
}

func parityDotfiles() []parity {
	look := sh("echo ${DOT-none} ${LD_LIBRARY_PATH%/host*}; case $PATH in */own:*) echo own;; esac")
	var all []parity
	for image, own := range map[string]string{"bash": ".bash_profile", "sh": ".profile", "ash": ".profile"} {
		all = append(all,
			withHome(parity{name: "the home's shell files, " + image, image: image, flags: []string{"-v"}, args: look, want: answer{like: "^none", stderr: `passed by: .*/\` + own + `.*--container-dotfiles`}}),
			withHome(parity{name: "the home's shell files, a shell, " + image, image: image, stdin: "echo ${DOT-none}\n", want: answer{stdout: "none\n"}}),
			withHome(parity{name: "the home's shell files, a prompt, " + image, image: image, typed: []exchange{{atPrompt, "echo \"<${DOT-none}>\"; exit 3\n", 0}}, want: answer{like: "<none>", status: 3}}),
			withHome(parity{name: "--container-dotfiles, " + image, image: image, flags: []string{"--container-dotfiles"}, args: look, want: answer{like: "^" + own + ".*\nown\n"}, differ: "entrypoint"}),
			withHome(parity{name: "--container-dotfiles, a prompt, " + image, image: image, flags: []string{"--container-dotfiles"}, typed: []exchange{{atPrompt, "echo \"<${DOT-none}>\"; exit 3\n", 0}}, want: answer{like: "<" + own + ">", status: 3}, differ: "entrypoint"}),
		)
	}
	return append(all,
		withHome(parity{name: "HPC3_CONTAINER_DOTFILES", env: []string{"HPC3_CONTAINER_DOTFILES=1"}, args: sh("echo ${DOT-none}"), want: answer{stdout: ".bash_profile\n"}, differ: "entrypoint"}),
		withHome(parity{name: "a bash in a session of ssh", env: []string{"SSH_CLIENT=10.0.0.1 1 22", "SHLVL=1"}, args: []string{"bash", "-c", "echo ${DOT-none} $SHLVL"}, want: answer{stdout: "none 2\n"}, differ: "host-environment"}),
		parity{name: "SHLVL", env: []string{"SHLVL=4"}, args: []string{"printenv", "SHLVL"}, want: answer{stdout: "4\n"}, differ: "host-environment"},
		parity{name: "SHLVL, none", env: []string{"SHLVL=4"}, flags: plain(), args: []string{"printenv", "SHLVL"}, want: answer{stdout: "4\n"}, differ: "host-environment"},
		parity{name: "SHLVL, ash", image: "ash", env: []string{"SHLVL=4"}, args: []string{"printenv", "SHLVL"}, want: answer{stdout: "4\n"}, differ: "host-environment"},
		parity{name: "SHLVL of a shell", env: []string{"SHLVL=4"}, stdin: "echo $SHLVL\n", want: answer{stdout: "5\n"}, differ: "host-environment"},
		parity{name: "no SHLVL", call: `cd; exec env -u SHLVL "$@"`, args: sh("echo ${SHLVL-unset}"), want: answer{stdout: "unset\n"}},
	)
}

func parityProfiles() []parity {
	ended := func(file string) answer {
		return answer{status: 125, stderr: `error\[exec\]: reading the login profile: ` + file + ` .*\nhpc3-run: hint: --container-entrypoint none`}
	}
	var all []parity
	for _, image := range []string{"bash", "sh", "ash"} {
		for _, script := range []string{"exit 0", "exit 3", "set -e; false", "exec sh", "exec /no/such"} {
			all = append(all, withProfile(parity{name: "a profile with " + script + ", " + image, image: image, args: []string{"echo", "ran"}, want: ended("/etc/profile.d/site.sh"), differ: "entrypoint"}, script))
		}
		all = append(all,
			withProfile(parity{name: "a profile that ends a shell, " + image, image: image, stdin: "echo ran\n", want: ended("/etc/profile.d/site.sh"), differ: "entrypoint"}, "exit 0"),
			withProfile(parity{name: "a profile that ends a prompt, " + image, image: image, typed: []exchange{{"without the profile", "", 0}}, want: answer{like: "/etc/profile.d/site.sh ended the shell", status: 125}, differ: "entrypoint"}, "exit 0"),
			withProfile(parity{name: "a profile that sets words, " + image, image: image, args: []string{"printf", "%s|", "a b", "*"}, want: answer{stdout: "a b|*|"}, differ: "entrypoint"}, "set -- q w; IFS=a; set -f -e -u"),
			withProfile(parity{name: "a profile that redirects, " + image, image: image, args: []string{"echo", "ran"}, want: answer{stdout: "ran\n"}, differ: "entrypoint"}, "exec 7>&1; exec 7>&-; (exec true); x=$(exec echo y)"),
			withProfile(parity{name: "what a profile defines, " + image, image: image, stdin: "func; echo $unexported; trap; set | grep _hpc3; exit 4\n", want: answer{stdout: "called\nhere\n", status: 4}, differ: "entrypoint"}, "func() { echo called; }; unexported=here"),
			withProfile(parity{name: "what a profile defines, a prompt, " + image, image: image, typed: []exchange{{atPrompt, "al; func; exit 4\n", 0}}, want: answer{like: "aliased\r\ncalled\r\n", status: 4}, differ: "entrypoint"}, "func() { echo called; }; alias al='echo aliased'"),
			withProfile(parity{name: "Ctrl-C in a profile, " + image, image: image, typed: []exchange{{"reading", "\x03", 0}, {atPrompt, "echo st''ill; exit 4\n", 0}}, want: answer{like: "still\r\n", status: 4}, differ: "entrypoint"}, "echo reading; sleep 50"),
		)
	}
	return append(all, withProfile(parity{name: "login_shell", stdin: "shopt -q login_shell && echo login\n", want: answer{stdout: "login\n"}, differ: "entrypoint"}, ":"))
}

func parityPaths() []parity {
	look, mine := sh("echo $PATH"), "/opt/own:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	games := "/usr/local/games:/usr/games:"
	return []parity{
		withProfile(parity{name: "PATH, ENV before the profile's", image: "conda", args: look, want: answer{stdout: games + mine + "\n"}, differ: "entrypoint"}, ":"),
		withProfile(parity{name: "PATH, what the profile adds", image: "conda", args: look, want: answer{stdout: "/site:" + games + mine + "\n"}, differ: "entrypoint"}, "PATH=/site:$PATH:/opt/own"),
		withProfile(parity{name: "PATH of a shell", image: "conda", stdin: "echo $PATH\n", want: answer{stdout: "/site:" + games + mine + "\n"}, differ: "entrypoint"}, "PATH=/site:$PATH"),
		withProfile(parity{name: "PATH, sh", image: "sh", args: look, want: answer{stdout: games + "/usr/local/bin:/usr/bin:/bin\n"}, differ: "entrypoint"}, ":"),
		withProfile(parity{name: "PATH by -e", image: "conda", flags: []string{"-e", "PATH=/usr/bin:/mine"}, args: look, want: answer{stdout: "/usr/bin:/mine\n"}}, "PATH=/site:$PATH"),
		withProfile(parity{name: "PATH by -e, ash", image: "ash", flags: []string{"-e", "PATH=/usr/bin:/mine"}, args: look, want: answer{stdout: "/usr/bin:/mine\n"}}, "PATH=/site:$PATH"),
		{name: "PATH, none", flags: plain(), args: look, want: answer{stdout: "/usr/local/bin:/usr/bin:/bin\n"}},
		{name: "PATH, image", image: "cmd", flags: image(), args: look, want: answer{stdout: "/usr/local/bin:/usr/bin:/bin\n"}},
	}
}

func parityNames() []parity {
	names := []string{"printenv", "a.b", "c-d", "1e", "IFS", "PS1", "USER_PATH", "PROMPT_COMMAND", "f.g"}
	var all []parity
	for how, flags := range map[string][]string{"none": plain(), "login": nil} {
		all = append(all, parity{name: "names that no shell holds, " + how, image: "names", flags: flags, env: []string{"f.g=host"}, args: names, want: answer{stdout: "it's\n2\n\nx\nmine> \nown\n: own\nhost\n"}, differ: "host-environment"})
		all = append(all, parity{name: "what Apptainer adds, " + how, flags: flags, args: sh("echo ${USER_PATH-none} ${PROMPT_COMMAND-none}"), want: answer{stdout: "none none\n"}})
	}
	return all
}

func parityPrompts() []parity {
	prompt := func(name, image, script, see string, env ...string) parity {
		return withProfile(parity{name: "the prompt, " + name, image: image, env: env, typed: []exchange{{atPrompt, "exit 3\n", 0}}, want: answer{like: see, status: 3}, differ: "prompt"}, script)
	}
	return []parity{
		prompt("bash", "bash", ":", `\[images:bash\] bash-[0-9.]+\$ `),
		prompt("sh", "sh", ":", `\[images:sh\] \$ `),
		prompt("ash", "ash", ":", `\[images:ash\] \S+ \$ `),
		prompt("Debian", "bash", `PS1='${debian_chroot:+($debian_chroot)}\u@\h:\w\$ '`, `\[images:bash\] tester@`),
		prompt("Red Hat", "bash", `PS1="[\u@\h \W]\\$ "`, `\[images:bash\] \[tester@`),
		prompt("Alpine", "ash", `PS1='\h:\w\$ '`, `\[images:ash\] \S+:\S+\$ `),
		prompt("an image's own", "bash", `PS1='mine> '`, `(^|\n)mine> `),
		prompt("off", "bash", ":", `(^|\n)bash-[0-9.]+\$ `, "HPC3_PROMPT=no"),
		prompt("a text", "bash", ":", `in images:bash: bash-[0-9.]+\$ `, "HPC3_PROMPT=in %i: "),
	}
}
