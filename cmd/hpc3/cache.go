package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hpc3-project/hpc3/cmd/progress"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/notes"
	"github.com/hpc3-project/hpc3/launcher/option"
	"github.com/hpc3-project/hpc3/launcher/upkeep"
)

func (t *tool) cacheCommand(say []cli.Flag) *cli.Command {
	say = append([]cli.Flag{toggle("json")}, say...)
	dir := append([]cli.Flag{value("dir")}, say...)
	return &cli.Command{Name: "cache", Action: t.bareCache, Subcommands: []*cli.Command{
		{Name: "list", Action: t.cacheList, Flags: say},
		{Name: "verify", Action: t.cacheVerify, Flags: append([]cli.Flag{
			toggle("repair"),
		}, dir...)},
		{Name: "gc", Action: t.cacheCollect, Flags: append([]cli.Flag{
			toggle("dry-run"), value("max-size"), value("max-age"),
		}, dir...)},
		{Name: "rm", Action: t.cacheRemove, Flags: append([]cli.Flag{
			toggle("dry-run"), toggle("all"),
		}, dir...)},
		{Name: "init", Action: t.cacheInit, Flags: append([]cli.Flag{
			value("site"), value("owner"), value("group"), toggle("write"),
		}, say...)},
	}}
}

func (t *tool) bareCache(c *cli.Context) error {
	if c.Args().First() == "help" {
		fmt.Fprint(t.stdout, topic(append([]string{"cache"}, c.Args().Tail()...)))
		return nil
	}
	if c.NArg() > 0 {
		return t.noCommand([]string{"cache"}, c.Args().First(), c.Args().Tail())
	}
	return fault.New(fault.Usage, "hpc3 cache needs a command").Hint("see %s cache --help", name)
}

func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return fault.New(fault.Usage, "cache %s takes no argument, and %q was given",
			c.Command.Name, c.Args().First()).
			Hint("see %s --help", name)
	}
	return nil
}

func (t *tool) cacheList(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	l, err := road.Upkeep().List()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return t.json(l)
	}
	t.printCaches(l)
	return nil
}

// listInFile writes a line for each image. Only the first two columns hold blanks.
func (t *tool) listInFile(l upkeep.CacheList) {
	rows := [][]string{{"USED", "SIZE", "ARCH", "VARIANT", "DIGEST", "IMAGE", "CACHE"}}
	for _, i := range l.Images {
		rows = append(rows, []string{
			ago(i.Used), notes.Amount(i.Size), cmp.Or(i.Arch, "-"), oneWord(i.Variant),
			cmp.Or(notes.ShortDigest(i.Digest), "-"),
			oneWord(strings.Join(i.References, ",")), oneWord(i.Cache),
		})
	}
	if len(l.Images) > 0 {
		fmt.Fprint(t.stdout, notes.Rows(rows, 0))
	}
}

// listOnTerminal writes the images of each cache below its name. The variant names the
// architecture.
func (t *tool) listOnTerminal(l upkeep.CacheList, width int) {
	for _, c := range l.Caches {
		rows := [][]string{{"USED", "SIZE", "DIGEST", "VARIANT", "IMAGE"}}
		for _, i := range l.Images {
			if filepath.Clean(i.Cache) == filepath.Clean(c.Dir) {
				rows = append(rows, []string{
					ago(i.Used), notes.Amount(i.Size),
					cmp.Or(notes.ShortDigest(i.Digest), "-"),
					oneWord(cmp.Or(i.Variant, i.Arch)),
					fault.OneLine(strings.Join(i.References, ", ")),
				})
			}
		}
		if len(rows) > 1 {
			fmt.Fprintf(t.stdout, "%s:\n%s\n", fault.OneLine(c.Dir), notes.Rows(rows, width))
		}
	}
}

func (t *tool) printCaches(l upkeep.CacheList) {
	if width := progress.Columns(t.stdout); width > 0 {
		t.listOnTerminal(l, width)
	} else {
		t.listInFile(l)
	}
	for _, i := range l.Images {
		if !i.Trusted {
			t.because("does not count: ", i.Path, i.Why)
		}
	}
	for _, d := range l.Caches {
		if d.Why != "" {
			t.because("passed over: ", d.Dir, d.Why)
		}
	}
	fmt.Fprintf(t.stdout, "%s, %s\n", notes.Images(len(l.Images)), notes.Amount(l.Bytes))
	if l.PartialLayers > 0 {
		fmt.Fprintf(t.stdout, "of %d layers a part has come, %s, with which the next run goes on\n",
			l.PartialLayers, notes.Amount(l.PartialBytes))
	}
}

// because prints a path and what is said of it.
func (t *tool) because(what, path, why string) {
	fmt.Fprintf(t.stdout, "%s%s: %s\n", what, fault.OneLine(path), fault.OneLine(why))
}

// oneWord keeps a column a column.
func oneWord(s string) string {
	return cmp.Or(strings.ReplaceAll(fault.OneLine(s), " ", "_"), "-")
}

func ago(when time.Time) string {
	switch d := time.Since(when); {
	case d < time.Hour:
		return "now"
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

func (t *tool) cacheVerify(c *cli.Context) error {
	road, err := t.road(c)
	if err != nil {
		return err
	}
	v, err := road.Upkeep().Verify(c.Context, c.String("dir"), c.Args().Slice(), c.Bool("repair"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := t.json(v); err != nil {
			return err
		}
	} else {
		t.printVerified(v, c.Bool("repair"))
	}
	switch {
	case len(v.Unknown) > 0:
		return fault.New(fault.Cache, "%d files could not be checked: %w",
			len(v.Unknown), errors.New(v.Unknown[0].Why)).
			Hint("see whether you may read them, and whether the file system works")
	case len(v.Broken) > 0:
		return errNo
	}
	return nil
}

func (t *tool) printVerified(v upkeep.VerifiedCache, repaired bool) {
	left := 0
	for _, b := range v.Broken {
		word := "broken: "
		if b.Removed {
			word = "removed: "
		} else {
			left++
		}
		t.because(word, b.Path, b.Why)
	}
	fmt.Fprintf(t.stdout, "%d files checked, %s, %d broken\n",
		v.Checked, notes.Amount(v.Bytes), len(v.Broken))
	if left > 0 && !repaired {
		fmt.Fprintf(t.stderr, "%s: hint: hpc3 cache verify --repair removes what is broken; "+
			"the next run makes it anew\n", name)
	}
}

func (t *tool) cacheCollect(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	if err := limits(c, &road.Option); err != nil {
		return err
	}
	dry := c.Bool("dry-run")
	got, err := road.Upkeep().Collect(c.Context, c.String("dir"), dry)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return t.json(got)
	}
	would := ""
	if dry {
		would = "would be "
	}
	for _, r := range got.Removed {
		fmt.Fprintf(t.stdout, "%sremoved: %s: %s\n", would, sized(r), r.Why)
	}
	fmt.Fprintf(t.stdout, "%s %sfreed, %s kept",
		notes.Amount(got.Freed), would, notes.Amount(got.Kept))
	if got.InUse > 0 {
		fmt.Fprintf(t.stdout, ", of which %s only since it is in use", notes.Amount(got.InUse))
	}
	fmt.Fprintln(t.stdout)
	for _, f := range got.Spared {
		t.printKept(f)
	}
	return nil
}

func (t *tool) printKept(f upkeep.RemovedFile) {
	fmt.Fprintf(t.stdout, "kept: %s: %s\n", sized(f), f.Why)
}

func sized(f upkeep.RemovedFile) string {
	return fmt.Sprintf("%s (%s)", fault.OneLine(f.Path), notes.Amount(f.Size))
}

// cacheRemove has the status 1 if something that was named is kept.
func (t *tool) cacheRemove(c *cli.Context) error {
	if c.Bool("all") == (c.NArg() > 0) {
		return fault.New(fault.Usage, "hpc3 cache rm takes names of images, or --all").
			Hint("what there is: hpc3 cache list")
	}
	road, err := t.road(c)
	if err != nil {
		return err
	}
	got, err := road.Upkeep().Remove(c.Context, c.String("dir"),
		c.Args().Slice(), c.Bool("dry-run"))
	if e := new(fault.Error); errors.Is(err, upkeep.ErrUnknown) && errors.As(err, &e) {
		return e.Exit(statusNo)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = t.json(got)
	} else {
		t.printRemoved(got, c.Bool("verbose") || got.DryRun)
	}
	if err == nil && len(got.Kept) > 0 {
		return errNo
	}
	return err
}

func (t *tool) printRemoved(got upkeep.RemovedCache, each bool) {
	would := ""
	if got.DryRun {
		would = "would be "
	}
	if each {
		for _, f := range got.Removed {
			fmt.Fprintf(t.stdout, "%sremoved: %s\n", would, sized(f))
		}
	}
	for _, f := range got.Kept {
		t.printKept(f)
	}
	fmt.Fprintf(t.stdout, "%s %sfreed\n", notes.Amount(got.Freed), would)
}

// limits lays the options of gc over the settings.
func limits(c *cli.Context, opt *option.Run) error {
	for n, set := range map[string]func([]byte) error{
		"max-size": opt.CacheMaxSize.UnmarshalText, "max-age": opt.CacheMaxAge.UnmarshalText,
	} {
		if !c.IsSet(n) {
			continue
		}
		if err := set([]byte(c.String(n))); err != nil {
			return fault.New(fault.Usage, "option --%s: %w", n, err).Hint("see %s --help", name)
		}
	}
	return nil
}
