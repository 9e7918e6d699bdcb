package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher"
	"github.com/hpc3-project/hpc3/launcher/doctor"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/habit"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// maxIndexFile bounds what --index reads; the parser's own limit is lower.
const maxIndexFile = 8 << 20

func (t *tool) explain(c *cli.Context) error {
	road, err := t.road(c)
	if err != nil {
		return err
	}
	var e launcher.Explanation
	if file := c.String("index"); file != "" {
		if c.NArg() > 0 {
			return fault.New(fault.Usage, "both --index and an image are given").
				Hint("leave one out")
		}
		raw, err := t.read(c.Context, file)
		if err != nil {
			return err
		}
		e, err = road.ExplainIndex(c.Context, file, raw)
		if err != nil {
			return err
		}
	} else {
		image, err := oneImage(c)
		if err != nil {
			return err
		}
		if e, err = road.Explain(c.Context, image); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		err = t.json(e)
	} else {
		_, err = io.WriteString(t.stdout, e.Table(progress.Columns(t.stdout)))
	}
	if err == nil && e.Chosen == nil {
		return errNo
	}
	return err
}

// read reads a file; "-" is standard input.
func (t *tool) read(ctx context.Context, file string) ([]byte, error) {
	in := t.stdin
	if file != "-" {
		f, err := outside.Stream(ctx, file)
		if err != nil {
			return nil, cannotRead("the index", file, err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxIndexFile))
	if err != nil {
		return nil, cannotRead("the index", file, err)
	}
	return raw, nil
}

// cannotRead says why a file that the user named is of no use.
func cannotRead(what, file string, err error) error {
	err = fault.Reason(err)
	return fault.New(fault.Usage, "reading %s %s: %w", what, file, err).
		Hint("name a file that is there and can be read")
}

func oneImage(c *cli.Context) (string, error) {
	switch c.NArg() {
	case 0:
		return "", fault.New(fault.Usage, "no image given").Hint("see %s --help", name)
	case 1:
		return c.Args().First(), nil
	}
	err := fault.New(fault.Usage,
		"one image is expected, and %q was given as well", c.Args().Get(1))
	toFile := strings.HasSuffix(c.Args().First(), ".sif") // as Apptainer has it
	if c.Command.Name == "pull" && c.NArg() == 2 && toFile {
		return "", err.Hint("%s", habit.FindCommand("pull").Hint("pull", c.Args().Slice()))
	}
	return "", err.Hint("see %s %s --help", name, c.Command.Name)
}

// pulled is what pull says with --json.
type pulled struct {
	SchemaVersion int            `json:"schemaVersion"`
	Reference     string         `json:"reference"`
	IndexDigest   string         `json:"indexDigest"`
	Images        []launcher.SIF `json:"images"`
}

func (t *tool) pull(c *cli.Context) error {
	image, err := oneImage(c)
	if err != nil {
		return err
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	if !c.IsSet("pull") {
		road.Option.Pull = option.Always // to pull is to ask for what the name means now
	}
	teller := t.teller(c, road)
	out := c.String("o")
	if out != "" && c.Bool("all-variants") {
		return fault.New(fault.Usage, "-o names one file, and --all-variants makes several").
			Hint("leave one out")
	}
	teller.Watch(road.Progress)
	how := launcher.Pulling{File: out, All: c.Bool("all-variants"), Deep: c.Bool("deep")}
	p, err := road.Pull(c.Context, image, how)
	teller.Stop()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return t.json(pulled{1, p.Reference, p.IndexDigest, p.Images})
	}
	for _, s := range p.Images {
		fmt.Fprintln(t.stdout, s.Path)
	}
	return nil
}

// teller has the road tell how far the image is, and what every user is shown.
func (t *tool) teller(c *cli.Context, road *launcher.Road) *progress.Teller {
	teller := progress.New(t.stderr, progress.Options{
		Program: name, Quiet: c.Bool("quiet"),
		Verbose: c.Bool("verbose") || road.Option.Verbose || road.Detail != nil,
		Width:   progress.Width(t.stderr, road.Host.Getenv),
	})
	road.Note, road.Say, road.Progress = teller.Note, teller.Say, new(notes.Progress)
	if road.Detail != nil {
		road.Detail = teller.Note
	}
	return teller
}

func (t *tool) doctor(c *cli.Context) error {
	if c.NArg() > 0 {
		return fault.New(fault.Usage,
			"doctor takes no argument, and %q was given", c.Args().First()).
			Hint("see %s --help", name)
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	d := road.Doctor(c.Context)
	if c.Bool("json") {
		err = t.json(d)
	} else {
		t.printDiagnosis(d)
	}
	if err == nil && !d.Sound() {
		return errNo
	}
	return err
}

func (t *tool) printDiagnosis(d doctor.Diagnosis) {
	width := progress.Columns(t.stdout)
	for _, f := range d.Findings {
		head := fmt.Sprintf("%-8s %-16s ", f.State, f.What)
		fmt.Fprint(t.stdout, notes.Fold(head, fault.OneLine(f.Text), width))
		if f.Mend != "" {
			head = fmt.Sprintf("%-8s %-16s -> ", "", "")
			fmt.Fprint(t.stdout, notes.Fold(head, fault.OneLine(f.Mend), width))
		}
	}
	switch {
	case d.Sound():
		fmt.Fprintln(t.stdout, "this node can run images")
	case d.Ready:
		fmt.Fprintln(t.stdout, "this node can run images, but not as the site means it to")
	default:
		fmt.Fprintln(t.stdout, "this node cannot run images yet")
	}
}
