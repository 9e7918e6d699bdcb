package probe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/hpc3-project/hpc3/probe/facts"
)

const (
	helperName = "hpc3-gpu"
	// Without persistence mode the driver first starts each GPU: 1 to 3 s.
	helperLimit = 5 * time.Second
	maxAnswer   = 1 << 20 // 16 GPUs take 4 KiB
)

var errNoHelper = errors.New("there is no " + helperName)

// askHelper returns NVML's answer, from the cache if it holds one. A fault of the helper is never
// more than an error.
func (p *prober) askHelper(ctx context.Context, opt Options, driver string) (facts.NVML, error) {
	name := p.answerName(opt, driver)
	if name != "" {
		if answer, err := parseAnswer(opt.Answers.Answer(name)); err == nil {
			return answer, nil
		}
	}
	helper, err := findHelper(opt.Helper)
	if err != nil {
		return facts.NVML{}, err
	}
	raw, err := runHelper(ctx, helper, helperLimit)
	if err != nil {
		return facts.NVML{}, err
	}
	answer, err := parseAnswer(raw)
	if err == nil && answer.Error == "" && name != "" {
		_ = opt.Answers.KeepAnswer(name, raw) // if that fails, the next start asks again
	}
	return answer, err
}

// findHelper returns the path of the helper.
func findHelper(given string) (string, error) {
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", errNoHelper
		}
		return given, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", errNoHelper
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	dir := filepath.Dir(self)
	installed := filepath.Join(dir, "..", "libexec", "hpc3", helperName)
	for _, file := range []string{filepath.Join(dir, helperName), installed} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", errNoHelper
}

// runHelper returns what the helper prints. A process that hangs in the driver cannot be killed: it
// is left behind at the limit.
func runHelper(ctx context.Context, helper string, limit time.Duration) ([]byte, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("it did not answer within %s", limit))
	defer cancel()
	type result struct {
		raw []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		out := &bounded{left: maxAnswer, stop: stop}
		cmd := exec.CommandContext(ctx, helper)
		cmd.Stdout = out
		cmd.WaitDelay = limit / 10
		err := cmd.Run()
		done <- result{out.text, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("asking %s about the GPUs: %w", helperName, context.Cause(ctx))
	}
	var exit *exec.ExitError
	// With an answer the helper itself says what is wrong.
	if r.err != nil && (!errors.As(r.err, &exit) || len(r.raw) == 0) {
		return nil, fmt.Errorf("asking %s about the GPUs: %w", helperName, r.err)
	}
	return r.raw, nil
}

var errAnswer = fmt.Errorf("its answer is longer than %d bytes", maxAnswer)

// bounded keeps what is written to it, up to a limit, and then stops the writer. bytes.Buffer does
// not do: its ReadFrom has no limit.
type bounded struct {
	text []byte
	left int
	stop context.CancelCauseFunc
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.stop(errAnswer)
		return 0, errAnswer
	}
	b.left -= len(p)
	b.text = append(b.text, p...)
	return len(p), nil
}

// parseAnswer reads the helper's JSON.
func parseAnswer(raw []byte) (facts.NVML, error) {
	var answer facts.NVML
	if err := json.Unmarshal(raw, &answer); err != nil {
		return facts.NVML{}, fmt.Errorf("reading the answer of %s: %w", helperName, err)
	}
	switch {
	case answer.SchemaVersion != facts.SchemaVersion:
		return facts.NVML{}, fmt.Errorf(
			"%s answers in schema version %d, not %d: it is not of this release",
			helperName, answer.SchemaVersion, facts.SchemaVersion)
	case answer.Error == "" && answer.Driver == "":
		return facts.NVML{}, fmt.Errorf("%s names neither driver nor error", helperName)
	}
	return answer, nil
}

// visibleDevices returns the setting by which the user or the scheduler chose GPUs. An empty text
// hides all of them, unlike a variable that is not set.
func (p *prober) visibleDevices() (setting string, set bool) {
	const variable = "CUDA_VISIBLE_DEVICES"
	if p.recorded {
		return "", false
	}
	setting = p.env(variable)
	return setting, setting != "" || slices.Contains(os.Environ(), variable+"=")
}

// answerName returns the name of the answer for this boot, this driver and the GPUs that this job
// may use; empty if nothing is kept. The cgroup is part of it: two jobs with the same variables may
// get different GPUs by their cgroups.
func (p *prober) answerName(opt Options, driver string) string {
	boot := p.line("proc/sys/kernel/random/boot_id")
	if opt.Answers == nil || boot == "" {
		return ""
	}
	cgroup, err := readFile(p.fsys, "proc/self/cgroup", maxSmall)
	if err != nil {
		return ""
	}
	setting, set := p.visibleDevices()
	key := fmt.Sprintf("%d %q", facts.SchemaVersion, []any{
		boot, driver, setting, set, p.env("CUDA_DEVICE_ORDER"), p.env("LD_LIBRARY_PATH"), cgroup,
		opt.Helper,
	})
	return fmt.Sprintf("gpu-%x.json", sha256.Sum256([]byte(key)))
}
