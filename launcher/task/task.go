// Package task is what the Slurm plugin, at submission, tells hpc3-run, at the start of a task: in
// variables of the job. Their names begin with SLURM_, so that --export=NONE lets them through.
package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// Protocol is the meaning of the variables, as the plugin has it (spank/face.h). It changes only if
// an hpc3-run would do the wrong thing with the variables of another one: otherwise nodes could not
// be updated one after another. An hpc3-run that does not know a new option refuses it by name.
const Protocol = "1"

// The variables. The first is Slurm's own; spank/face.h has the same names.
const (
	Image     = "SLURM_CONTAINER"       // as the user wrote it
	command   = "SLURM_HPC3_TASK"       // "=WORD": WORD and what follows; "+": what follows
	options   = "SLURM_HPC3_OPTIONS"    // a JSON list of [NAME, VALUE]
	pin       = "SLURM_HPC3_PIN"        // "IMAGE DIGEST": of the index at submission
	version   = "SLURM_HPC3_VERSION"    // "PROTOCOL VERSION" of the plugin at submission
	copied    = "SLURM_HPC3_BCAST"      // "1": Slurm has copied the command to the node
	multiProg = "SLURM_HPC3_MULTI_PROG" // for the plugin alone, and so is the next
	launcher  = "SLURM_HPC3_LAUNCHER"
	variantFD = "SLURM_HPC3_VARIANT_FD" // where the variant is written for the plugin
)

// NoImage is the image of a step that runs on the node, without a container.
const NoImage = "none"

// interactive is the number of the step in which salloc starts a shell; Slurm 26.05 writes it
// signed.
//
//nolint:gochecknoglobals // a constant list
var interactive = []string{"4294967290", "-6"}

// Option is an option of hpc3-run, without the dashes, and its value.
type Option [2]string

// Task is the start of a task by the plugin, or by Slurm itself.
type Task struct {
	Plugin  bool     // by the plugin
	Image   string   // as the user wrote it
	Command []string // what to run in it
	Options []Option // what was asked for with the job or step
	Digest  string   // of the index; "" = it is not settled
	Copied  bool     // the command is a file that Slurm has copied to the node, not the image's
	// Variant is the descriptor through which the plugin learns which variant runs; 0 for none.
	Variant int
}

// Find tells whether the plugin has put hpc3-run before a task's command, and which task that is.
// args are the words of the process. An hpc3-run that the shim of a module has started is no task,
// even where a task's variables are set, as in a prolog of the task.
func Find(getenv func(string) string, args []string) (Task, bool, error) {
	word := getenv(command)
	if word == "" || getenv(Image) == "" || getenv(option.Shim) != "" {
		return Task{}, false, nil
	}
	t := Task{Plugin: true, Image: getenv(Image)}
	if n, err := strconv.Atoi(getenv(variantFD)); err == nil && n > 2 {
		t.Variant = n
	}
	if first, ok := strings.CutPrefix(word, "="); ok {
		t.Copied = getenv(copied) != ""
		if t.Copied && strings.HasSuffix(first, "/") { // Slurm chose the name in this directory
			first += fmt.Sprintf("slurm_bcast_%s.%s_%s",
				getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"), getenv("SLURMD_NODENAME"))
		}
		t.Command = []string{first}
	}
	if len(args) > 0 {
		t.Command = append(t.Command, args[1:]...)
	}
	isShell := len(t.Command) == 1 && t.Command[0] == getenv("SHELL")
	if isShell && slices.Contains(interactive, getenv("SLURM_STEP_ID")) {
		t.Command = nil // the image's own shell: it may lack the caller's
	}
	var err error
	if t.Options, err = Options(getenv); err != nil {
		return Task{}, true, err
	}
	t.Digest = Digest(getenv, t.Image)
	return t, true, nil
}

// Own are the variables that are for hpc3-run and not for its command. The others are inherited by
// the steps of the job.
//
//nolint:gochecknoglobals // a constant list
var Own = []string{command, copied, multiProg, launcher, variantFD}

// ProtocolError is a job of a plugin whose variables have another meaning.
type ProtocolError struct{ Version, Protocol string }

func (e ProtocolError) Error() string {
	return fmt.Sprintf("it was submitted by hpc3 %s, whose protocol is %s, and here it is %s",
		e.Version, e.Protocol, Protocol)
}

// Submitter returns the version of the plugin that has set a job's variables; "" = it is not known.
// The error is a ProtocolError.
func Submitter(getenv func(string) string) (string, error) {
	protocol, of, _ := strings.Cut(getenv(version), " ")
	if protocol != "" && protocol != Protocol {
		return of, ProtocolError{of, protocol}
	}
	return of, nil
}

// Options reads the options that a job was submitted with.
func Options(getenv func(string) string) ([]Option, error) {
	text := getenv(options)
	if text == "" {
		return nil, nil
	}
	var list []Option
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("the variable %s: %w", options, err)
	}
	return list, nil
}

// Join lays the options of a step over those of its job: a later one replaces an earlier one of the
// same key, but lists grow.
func Join(job, step []Option) []Option {
	replaced := func(o Option) bool {
		of, _ := option.Find(o[0])
		again := slices.ContainsFunc(step, func(s Option) bool { return key(s) == key(o) })
		return again && of.Kind != option.List
	}
	return append(slices.DeleteFunc(slices.Clone(job), replaced), step...)
}

// key is what an option shares with its opposite.
func key(o Option) string {
	if of, known := option.Find(o[0]); known {
		return of.SettingsKey()
	}
	return o[0]
}

// Settings turns options into settings. The error names the option.
func Settings(list []Option) (option.Settings, error) {
	var s option.Settings
	for _, o := range list {
		if err := s.Set(o[0], o[1]); err != nil {
			return s, fmt.Errorf("--%s: %w", o[0], err)
		}
	}
	return s, nil
}

// OptionsVariable is the variable that carries options, NAME=VALUE.
func OptionsVariable(list []Option) (string, error) {
	text, err := json.Marshal(list)
	if err == nil && strings.ContainsRune(string(text), 0) {
		err = errors.New("it holds a NUL byte")
	}
	return options + "=" + string(text), err
}

// Step returns a name of the step that a process belongs to; "" for none. It is the same on all
// nodes of the step, and no other step has it.
func Step(getenv func(string) string) string {
	if getenv("SLURM_JOB_ID") == "" || getenv("SLURM_STEP_ID") == "" {
		return ""
	}
	words := []string{Job(getenv)}
	for _, name := range []string{"SLURM_STEP_ID", "SLURM_SRUN_COMM_HOST", "SLURM_SRUN_COMM_PORT"} {
		words = append(words, getenv(name))
	}
	return strings.Join(words, " ")
}

// Job returns a name of the job that a process belongs to; no other job has it.
func Job(getenv func(string) string) string {
	var words []string
	for _, name := range []string{
		"SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_RESTART_COUNT",
		"SLURM_JOB_START_TIME", // a cluster that is set up again counts its jobs from one
	} {
		words = append(words, getenv(name))
	}
	return strings.Join(words, " ")
}

// Digest is that of the image's index when the job was submitted; "" = it is not known.
func Digest(getenv func(string) string, image string) string {
	if of, digest, ok := strings.Cut(getenv(pin), " "); ok && of == image {
		return digest
	}
	return ""
}

// DigestVariable is the variable that carries it, NAME=VALUE.
func DigestVariable(image, digest string) string { return pin + "=" + image + " " + digest }

// DigestName is the name of the variable.
const DigestName = pin
