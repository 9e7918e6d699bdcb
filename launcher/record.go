package launcher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hpc3-project/hpc3/launcher/convert"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/site"
)

// record is what the site is told of a start, if it wants to know.
type record struct {
	SchemaVersion int    `json:"schemaVersion"`
	Image         string `json:"image"`
	Index         string `json:"index,omitempty"`
	Manifest      string `json:"manifest,omitempty"`
	Variant       string `json:"variant,omitempty"`
	Engine        string `json:"engine"`
	Node          string `json:"node"`
	UID           int    `json:"uid"`
	Job           string `json:"job,omitempty"`
	Step          string `json:"step,omitempty"`
}

// tellSite writes the site's usage record, and the comment of the job. A failure here does not keep
// a command from starting.
func (r *Road) tellSite(ctx context.Context, p convert.Provenance, engine option.Engine) {
	getenv := r.Host.Getenv
	if r.Site.Usage == site.Syslog && inside.FirstOfNode(getenv) {
		raw, err := json.Marshal(record{
			SchemaVersion: 1, Image: p.Reference, Index: p.IndexDigest, Manifest: p.ManifestDigest,
			Variant: p.Variant, Engine: string(engine), Node: r.Host.Name, UID: r.Host.UID,
			Job: getenv("SLURM_JOB_ID"), Step: getenv("SLURM_STEP_ID"),
		})
		if err == nil {
			err = toSyslog(string(raw))
		}
		if err != nil {
			r.Notef("usage: %v", err)
		}
	}
	job, first := getenv("SLURM_JOB_ID"), getenv("SLURM_PROCID") == "0"
	if r.Site.SlurmComment && job != "" && first {
		text := "hpc3 " + p.Reference + " " + p.Variant + " " + p.ManifestDigest
		if err := comment(ctx, job, text); err != nil {
			r.Notef("slurm_comment: %v", err)
		}
	}
}

// syslogLimit bounds the wait for a log daemon that has stopped reading: log/syslog would wait for
// ever.
const syslogLimit = time.Second

// toSyslog sends a line as syslog(3) does, with facility user and level info.
func toSyslog(text string) error {
	conn, err := net.Dial("unixgram", "/dev/log")
	if errors.Is(err, syscall.EPROTOTYPE) { // syslog-ng may take streams there instead
		conn, err = net.Dial("unix", "/dev/log")
	}
	if err != nil {
		return err
	}
	const priority = 1<<3 | 6
	now := time.Now()
	err = conn.SetWriteDeadline(now.Add(syslogLimit))
	if err == nil {
		stamp := now.Format(time.Stamp)
		_, err = fmt.Fprintf(conn, "<%d>%s hpc3-run[%d]: %s\n", priority, stamp, os.Getpid(), text)
	}
	return errors.Join(err, conn.Close())
}

// commentLimit bounds what is asked of Slurm's controller.
const commentLimit = 3 * time.Second

// comment sets the comment of a job, unless the user has written one.
func comment(ctx context.Context, job, text string) error {
	ctx, cancel := context.WithTimeout(ctx, commentLimit)
	defer cancel()
	shown, err := exec.CommandContext(ctx, "scontrol", "-o", "show", "job", job).Output()
	if err != nil {
		return err
	}
	_, old, has := bytes.Cut(shown, []byte(" Comment="))
	if has && !strings.HasPrefix(string(old), "hpc3 ") {
		return nil
	}
	return exec.CommandContext(ctx, "scontrol", "update", "JobId="+job, "Comment="+text).Run()
}
