package run

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
)

// Target names a container that runs on this node, by a step of Slurm or by a process.
type Target struct {
	text string // as the user wrote it
	// a number, with "_TASK" for an array or "+COMPONENT" for a heterogeneous job; "" if only a
	// process is named
	job  string
	step string // a number, or "batch", "interactive", "extern"; "" for any
	pid  int    // 0 if only a step is named
}

var (
	stepPattern = regexp.MustCompile(
		`^([0-9]+(?:[_+][0-9]+)?)(?:\.([0-9]+|batch|interactive|extern))?$`)
	processPattern = regexp.MustCompile(`^pid:([0-9]+)$`)
)

// ParseTarget reads JOB, JOB.STEP, PID or pid:PID. A plain number is a job's if that job has a
// container on this node, else a process's.
func ParseTarget(s string) (Target, error) {
	t := Target{text: s}
	if m := processPattern.FindStringSubmatch(s); m != nil {
		t.pid = processNumber(m[1])
	} else if m := stepPattern.FindStringSubmatch(s); m != nil {
		t.job, t.step = m[1], m[2]
		t.pid = processNumber(s)
	}
	if t.job == "" && t.pid <= 0 {
		return Target{}, fault.New(fault.Usage, "%q is neither a job nor a process", s).
			Hint("give JOB, JOB.STEP, JOB_TASK of an array, JOB+COMPONENT, or a process's number")
	}
	return t, nil
}

// processNumber reads the number of a process; 0 if it is none.
func processNumber(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

func (t Target) String() string { return t.text }

// namedSteps are Slurm's numbers of steps that have a name.
var namedSteps = map[string]string{"4294967290": "interactive", "4294967291": "batch", "4294967292": "extern"} //nolint:gochecknoglobals // a constant table

// step is a step of Slurm, as a process in it knows it.
type step struct {
	jobs []string // all names of its job; the number comes first
	name string
}

// knownSteps find a job's own number and its step: in a process's list of cgroups, which the
// process cannot leave, and in slurmstepd's title.
var knownSteps = []*regexp.Regexp{ //nolint:gochecknoglobals // a constant list
	regexp.MustCompile(`/job_([0-9]+)/step_([^/\n]+)`),
	regexp.MustCompile(`slurmstepd: \[([0-9]+)\.([^\]]+)\]`),
}

// stepOf determines a process's step from what Slurm says of it (known). If Slurm says nothing, it
// uses the environment, in which the job of a component is that of the first component.
func stepOf(known string, env []string) (s step, is bool) {
	job, name := inside.Lookup(env, "SLURM_JOB_ID"),
		cmp.Or(inside.Lookup(env, "SLURM_STEP_ID"), "batch")
	for _, pattern := range knownSteps {
		if m := pattern.FindStringSubmatch(known); m != nil {
			job, name = m[1], m[2]
			break
		}
	}
	if job == "" {
		return step{}, false
	}
	s = step{jobs: []string{job}, name: cmp.Or(namedSteps[name], name)}
	if of, number := inside.Lookup(env, "SLURM_ARRAY_JOB_ID"),
		inside.Lookup(env, "SLURM_ARRAY_TASK_ID"); of != "" && number != "" {
		s.jobs = append(s.jobs, of+"_"+number, of)
	}
	// srun only sets the older name
	for _, group := range []string{"SLURM_JOB_ID_HET_GROUP_", "SLURM_JOB_ID_PACK_GROUP_"} {
		for _, e := range env {
			number, isOne := strings.CutPrefix(e, group)
			if number, id, _ := strings.Cut(number, "="); isOne && id == job {
				leader := inside.Lookup(env, group+"0")
				s.jobs = append(s.jobs, leader+"+"+number, leader)
			}
		}
	}
	return s, true
}

// is tells whether a target names this step.
func (s step) is(t Target) bool {
	return slices.Contains(s.jobs, t.job) && (t.step == "" || t.step == s.name)
}

// String returns the step as a user writes it: with the array's task or the component, if there is
// one.
func (s step) String() string {
	job := s.jobs[0]
	for _, j := range s.jobs {
		if strings.ContainsAny(j, "_+") {
			job = j
			break
		}
	}
	return job + "." + s.name
}
