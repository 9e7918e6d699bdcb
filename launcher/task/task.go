// Package task is what the Slurm plugin, where a job is submitted, tells hpc3-run, where a task starts: in variables of the job, whose names
// begin with SLURM_ so that --export=NONE lets them through.
package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/option"
)

// Protocol is what the variables mean, as the plugin has it (spank/face.h). It changes only where a hpc3-run would do the wrong thing with the
// variables of another: a rolling update of nodes goes on without it, and an option that is new is refused by name where it is not known.
const Protocol = "1"

// The variables. The first is Slurm's own; all but the third and the fourth are the plugin's C part's as well.
const (
	Image     = "SLURM_CONTAINER"       // as the user wrote it
	command   = "SLURM_HPC3_TASK"       // "=WORD": the command was WORD and what follows hpc3-run; "+": it is what follows
	options   = "SLURM_HPC3_OPTIONS"    // a JSON list of [NAME, VALUE]
	pin       = "SLURM_HPC3_PIN"        // "IMAGE DIGEST": the image's index when the job was submitted
	version   = "SLURM_HPC3_VERSION"    // "PROTOCOL VERSION" of the plugin where the step was submitted
	copied    = "SLURM_HPC3_BCAST"      // "1": the command is a file that Slurm has copied to the node
	multiProg = "SLURM_HPC3_MULTI_PROG" // for the plugin alone, and so is the next
	launcher  = "SLURM_HPC3_LAUNCHER"
)

// NoImage is the image of a step that runs on the host.
const NoImage = "none"

// interactive is the number of the step in which salloc starts a shell; Slurm 26.05 writes it signed.
var interactive = []string{"4294967290", "-6"} //nolint:gochecknoglobals // a constant list

// Option is an option of hpc3-run, without the dashes, and its value.
type Option [2]string

// Task is the start of a task by the plugin, or by Slurm itself.
type Task struct {
	Plugin  bool     // by the plugin
	Image   string   // as the user wrote it
	Command []string // what to run in it
	Options []Option // what was asked for with the job or step
	Digest  string   // of the index; "" where it is not settled
	Copied  bool     // the command is a file that Slurm has copied to the node, which the image does not have
}

// Find tells whether the plugin has put hpc3-run before a task's command, and what the task is. args are those of the process.
func Find(getenv func(string) string, args []string) (Task, bool, error) {
	word := getenv(command)
	if word == "" || getenv(Image) == "" {
		return Task{}, false, nil
	}
	t := Task{Plugin: true, Image: getenv(Image)}
	if first, ok := strings.CutPrefix(word, "="); ok {
		t.Copied = getenv(copied) != ""
		if t.Copied && strings.HasSuffix(first, "/") { // Slurm chose the name in this directory
			first += fmt.Sprintf("slurm_bcast_%s.%s_%s", getenv("SLURM_JOB_ID"), getenv("SLURM_STEP_ID"), getenv("SLURMD_NODENAME"))
		}
		t.Command = []string{first}
	}
	if len(args) > 0 {
		t.Command = append(t.Command, args[1:]...)
	}
	if len(t.Command) == 1 && t.Command[0] == getenv("SHELL") && slices.Contains(interactive, getenv("SLURM_STEP_ID")) {
		t.Command = nil // the image's own shell: it may lack the caller's
	}
	var err error
	if t.Options, err = Options(getenv); err != nil {
		return Task{}, true, err
	}
	t.Digest = Digest(getenv, t.Image)
	return t, true, nil
}

// Own are the variables that are for hpc3-run and not for its command. What a step inside of the job is to inherit is for both.
var Own = []string{command, copied, multiProg, launcher} //nolint:gochecknoglobals // a constant list

// A ProtocolError is a job whose variables are of a plugin that means something else by them.
type ProtocolError struct{ Version, Protocol string }

func (e ProtocolError) Error() string {
	return fmt.Sprintf("it was submitted by hpc3 %s, whose protocol is %s, and here it is %s", e.Version, e.Protocol, Protocol)
}

// Submitter returns the version of the plugin that has set a job's variables; "" where it is not known. The error is a ProtocolError.
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

// lists are the options that may be given several times.
var lists = []string{"container-mounts", "container-env", "container-env-file"} //nolint:gochecknoglobals // a constant list

// Join lays the options of a step over those of its job: of an option given twice the later counts, but for the lists.
func Join(job, step []Option) []Option {
	given := func(o Option) bool {
		return !slices.Contains(lists, o[0]) && slices.ContainsFunc(step, func(s Option) bool { return positive(s[0]) == positive(o[0]) })
	}
	return append(slices.DeleteFunc(slices.Clone(job), given), step...)
}

// positive is the name that an option shares with its opposite.
func positive(name string) string {
	if name == "container-readonly" {
		return "container-writable"
	}
	return strings.TrimPrefix(name, "no-")
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

// Step names the step that a process is a task of, alike on all of its nodes and unlike any other; "" for none.
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

// Job names the job of a process, unlike any other.
func Job(getenv func(string) string) string {
	var words []string
	// A cluster that was set up anew counts its jobs from one again.
	for _, name := range []string{"SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_START_TIME"} {
		words = append(words, getenv(name))
	}
	return strings.Join(words, " ")
}

// Digest is that of the image's index when the job was submitted; "" where that is not known.
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
