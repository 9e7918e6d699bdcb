package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
)

// helpColumns is how wide --help is, and helpIndent where the help of an option begins.
const (
	helpColumns = 80
	helpIndent  = 28
)

// usageHead and usageTail stand around the options in what --help prints.
const usageHead = `Usage: hpc3-run [OPTION...] IMAGE [--] [COMMAND [ARG...]]

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
`

const usageTail = `      --version             print the version
  -h, --help                print this

Every option is also a variable, as HPC3_ENGINE, and a key of hpc3.toml.
Exit status: the command's own; 125 hpc3-run failed, 126 the command cannot be
executed, 127 it is not in the image, 128+N signal N ended it.
More: man hpc3-run; man hpc3-habits, for users of docker, Apptainer or pyxis.
`

// usage is what --help prints.
func usage() string {
	var b strings.Builder
	b.WriteString(usageHead)
	for _, section := range option.Sections {
		b.WriteString("\n")
		if section.Title != "" {
			b.WriteString(section.Title + ":\n")
		}
		names := ""
		for _, o := range section.Options {
			if names += written(o); o.Help == "" {
				names += ", "
				continue
			}
			b.WriteString(entry(names, o.Help))
			names = ""
		}
	}
	b.WriteString(usageTail)
	return b.String()
}

// written is an option as the help has it.
func written(o option.Option) string {
	text := "--" + o.Name
	if o.Short != "" {
		text = "-" + o.Short + ", " + text
	}
	if o.TakesValue() {
		text += " " + cmp.Or(o.Metavar, strings.Join(o.Words(), "|"))
	}
	return text
}

// entry is a part of the help: the help of an option stands behind its names, or below them.
func entry(names, help string) string {
	if strings.HasPrefix(names, "--") {
		names = "    " + names // as far as those behind a letter
	}
	names = fmt.Sprintf("  %-*s", helpIndent-2, names)
	if names[helpIndent-1:] == " " {
		return notes.Fold(names, help, helpColumns)
	}
	return names + "\n" + notes.Fold(strings.Repeat(" ", helpIndent), help, helpColumns)
}
