// Command submit is built as libhpc3spank.so. The Slurm plugin loads it into srun, sbatch and
// salloc if a container is asked for. It checks the request before an allocation is spent, and
// settles which index the job runs.
package main

// #include <stdlib.h>
// #include <string.h>
import "C"

import (
	"context"
	"os"
	"strings"

	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/settings"
	"github.com/hpc3-project/hpc3/launcher/task"
)

// version is set by the Makefile.
var version = "dev"

func main() {} // a library has none, and c-shared wants one

// hpc3_submit answers a request of the plugin: words with a NUL after each.
//
//	version=VERSION      the plugin's
//	image=IMAGE          the image, with absolute paths; none for the command of a module
//	written=IMAGE        the image, as the user wrote it
//	inherited=IMAGE      the image in the environment
//	option=NAME=VALUE    an option
//	script=WORD          a word of sbatch's command, from the script on; "-" is standard input
//	env=NAME=VALUE       a variable
//
// Or: version=VERSION and other=NAME=VALUE, an option of pyxis. The caller frees the answer: "set
// NAME=VALUE", "unset NAME", "note TEXT" and, if the job is to be refused, "error TEXT".
//
//export hpc3_submit
func hpc3_submit(request *C.char, length C.size_t, answerLength *C.size_t) *C.char {
	answer := submit(C.GoStringN(request, C.int(length))) + "\x00" // never of no length
	*answerLength = C.size_t(len(answer) - 1)
	return (*C.char)(C.CBytes([]byte(answer)))
}

// asked is a request.
type asked struct {
	version                   string // of the plugin
	image, written, inherited string
	options                   []task.Option
	script                    []string
	other                     string // an option of another plugin, NAME=VALUE
	host                      settings.Host
}

func read(request string) (asked, error) {
	var a asked
	var environ []string
	for word := range strings.SplitSeq(strings.TrimSuffix(request, "\x00"), "\x00") {
		kind, text, _ := strings.Cut(word, "=")
		switch kind {
		case "version":
			a.version = text
		case "image":
			a.image = text
		case "written":
			a.written = text
		case "script":
			a.script = append(a.script, text)
		case "inherited":
			a.inherited = text
		case "other":
			a.other = text
		case "env":
			environ = append(environ, text)
		case "option":
			name, value, _ := strings.Cut(text, "=")
			a.options = append(a.options, task.Option{name, value})
		default:
			return asked{}, versionsDiffer("another version")
		}
	}
	switch a.version {
	case version:
	case "":
		return asked{}, versionsDiffer("another version")
	default:
		return asked{}, versionsDiffer("hpc3 " + a.version)
	}
	a.host = settings.ThisHost(environ)
	a.host.Plugin = true
	return a, nil
}

// versionsDiffer says that the plugin's version is not this library's. They are built and installed
// together, so their versions must be equal.
func versionsDiffer(plugin string) error {
	return fault.New(fault.Config,
		"the plugin, spank_hpc3.so, is of %s, and its library, libhpc3spank.so, of hpc3 %s",
		plugin, version).
		Hint("install both anew: make plugin, then make install")
}

func submit(request string) string {
	var words answer
	a, err := read(request)
	switch {
	case err != nil:
	case a.other != "":
		err = explainPyxisOption(a.other)
	default:
		err = a.settle(&words)
	}
	if err != nil {
		words.tell("error", err)
	}
	return words.String()
}

// explainPyxisOption says what takes the place of an option of pyxis.
func explainPyxisOption(other string) error {
	name, value, _ := strings.Cut(other, "=")
	return fault.New(fault.Usage, "--%s is an option of pyxis, which this is not", name).
		Hint("%s", habit.InSlurm(name, value)).Hint("see man hpc3-habits")
}

// answer collects the words of an answer.
type answer struct{ strings.Builder }

func (w *answer) say(kind, text string) {
	w.WriteString(kind + " " + strings.ReplaceAll(text, "\x00", "?") + "\x00")
}

// tell adds an error and, in a line each, its hints.
func (w *answer) tell(kind string, err error) {
	_, hints, _ := fault.Of(err, fault.Usage)
	w.say(kind, err.Error())
	for _, hint := range hints {
		w.say(kind, "hint: "+hint)
	}
}

// settle settles the variables of the job. Options of the job hold for its steps too, and so does
// the index that was settled for the same image.
func (a *asked) settle(words *answer) error {
	if _, err := task.Submitter(a.host.Getenv); err != nil {
		return fault.New(fault.Config, "starting a step of this job: %w", err).
			Hint("hpc3 was updated since: submit the job anew")
	}
	job, err := task.Options(a.host.Getenv)
	if err != nil {
		return err
	}
	options := task.Join(job, a.options)
	line, err := settingsOf(a.options, options)
	if err != nil {
		return err
	}
	set, err := settings.Load(a.host, line)
	if err != nil {
		return err
	}
	if set.Site.PassedBy != "" {
		words.say("note",
			"HPC3_CONFIG is passed by, since jobs follow the site's file: "+set.Site.PassedBy)
	}
	if len(options) > 0 {
		variable, err := task.OptionsVariable(options)
		if err != nil {
			return err
		}
		words.say("set", variable)
	}
	set.Host.NoStart = true
	say := func(text string) {
		os.Stderr.WriteString("hpc3: " + text + "\n") //nolint:errcheck // nobody is left to tell
	}
	road := &launcher.Road{
		Settings: set, Version: version,
		Notes: notes.Notes{Say: say, Progress: new(notes.Progress)},
	}
	if err := road.ReadEnvFiles(context.Background()); err != nil {
		return err
	}
	known := a.image == a.inherited && task.Digest(a.host.Getenv, a.image) != ""
	if a.image == "" || known {
		return nil
	}
	return a.look(words, road)
}

// look reads the image's index.
func (a *asked) look(words *answer, road *launcher.Road) error {
	words.say("unset", task.DigestName)
	batch := launcher.Batch{Words: a.script, Image: a.written}
	for _, o := range a.options {
		batch.Options = append(batch.Options, o)
	}
	if err := batch.CutShort(a.host.Getenv); err != nil {
		return err
	}
	submitted, err := road.Submit(context.Background(), a.image, a.written)
	if err != nil {
		return err
	}
	if submitted.Doubt != nil {
		words.say("note", submitted.Doubt.Error())
		words.say("note", "the job is submitted all the same, and its nodes will look again")
	}
	if submitted.Digest != "" {
		words.say("set", task.DigestVariable(a.image, submitted.Digest))
	}
	return nil
}

// settingsOf turns all options into settings. An error names the wrong option if it was given now.
func settingsOf(given, all []task.Option) (option.Settings, error) {
	if _, err := task.Settings(given); err != nil {
		return option.Settings{}, err
	}
	return task.Settings(all)
}
