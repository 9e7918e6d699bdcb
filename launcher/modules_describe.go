package launcher

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hpc3-project/hpc3/launcher/choose"
	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/module"
	"github.com/hpc3-project/hpc3/launcher/oci"
)

// Labels by which an image's author describes a module of it.
const (
	labelCommands = "org.supercontainers.hpc3.commands"
	labelConflict = "org.supercontainers.hpc3.conflict"
	labelPrereq   = "org.supercontainers.hpc3.prereq"
	labelFamily   = "org.supercontainers.hpc3.family"
	labelHelp     = "org.supercontainers.hpc3.help"
	labelOfImage  = "org.opencontainers.image."
)

// describe takes texts and relations to other modules from the labels; what is wanted replaces
// them.
func (l *look) describe(m *module.Module, w module.Wanted) error {
	m.Title = module.Line(cmp.Or(w.Title, l.labels[labelOfImage+"title"]))
	m.Description = module.Line(cmp.Or(w.Description, l.labels[labelOfImage+"description"]))
	m.URL = module.Line(cmp.Or(l.labels[labelOfImage+"url"], l.labels[labelOfImage+"documentation"]))
	m.Help = module.Text(cmp.Or(w.Help, l.labels[labelHelp]))
	for _, names := range []struct {
		to     *[]string
		wanted []string
		label  string
		check  func(string) error
	}{
		{&m.Conflicts, w.Conflicts, labelConflict, module.CheckModule},
		{&m.Needs, w.Needs, labelPrereq, module.CheckModule},
		{&m.Families, w.Families, labelFamily, module.CheckFamily},
	} {
		*names.to = names.wanted
		if names.wanted != nil {
			continue
		}
		list, err := module.ParseNames(l.labels[names.label])
		for _, name := range list {
			if err == nil {
				err = names.check(name)
			}
		}
		if err != nil {
			return l.badLabel(names.label, err)
		}
		*names.to = list
	}
	if m.Families == nil && l.hasOwnMPI() {
		m.Families = []string{"mpi"}
	}
	m.Families = slices.DeleteFunc(slices.Clone(m.Families),
		func(f string) bool { return f == "none" })
	return nil
}

// badLabel says that a label of the image cannot be used.
func (l *look) badLabel(label string, err error) error {
	return fault.New(fault.Reference, "%s: its label %s: %s", l.ref, label, fault.Reason(err)).
		Hint("tell the author of the image; entries of modules.toml can say it otherwise")
}

// hasOwnMPI tells whether the image states an MPI and runs with that. One whose MPI is replaced, or
// is the system's, needs the node's, whose module stays loaded.
func (l *look) hasOwnMPI() bool {
	stated := map[string]string{}
	for _, s := range oci.Stated(l.labels) {
		stated[s.Key] = s.Value
	}
	mpi := stated["org.supercontainers.mpi.implementation"]
	mode := stated["org.supercontainers.mpi.portability.mode"]
	return mpi != "" && mpi != "none" && mode != "mpi_replace" && mode != "mpi_system"
}

// maxVariants bounds the list of variants in a module's help; an index may have thousands.
const maxVariants = 256

// variants returns the platforms of the index in its order, each once; none for a SIF.
func (l *look) variants(ctx context.Context) []string {
	if !l.chosen.Found() {
		return nil
	}
	v := variants{look: l, reads: maxNestedReads}
	v.add(ctx, l.chosen.Index.Entries, maxNestedDepth)
	if v.more > 0 {
		l.remark("the image has %d variants more than the %d that are listed", v.more, maxVariants)
	}
	return v.list
}

// Bounds of what is read for a list of variants: indexes inside the index, and how deep they are.
const (
	maxNestedReads = 16
	maxNestedDepth = 3
)

// variants is a list that is being made.
type variants struct {
	*look
	list  []string
	more  int // how many the list is too short for
	reads int // how many indexes may still be read
}

func (v *variants) add(ctx context.Context, entries []oci.Entry, depth int) {
	for _, e := range entries {
		name := choose.PlatformOf(e)
		switch {
		case e.Attestation || len(e.Faults) > 0:
			continue
		case e.Tag != "":
			name += fmt.Sprintf(" (tag %s)", e.Tag)
		case e.IsIndex():
			v.add(ctx, v.inner(ctx, e, depth), depth-1)
			continue
		case !e.IsImage():
			continue
		}
		switch {
		case slices.Contains(v.list, name):
		case len(v.list) == maxVariants:
			v.more++
		default:
			v.list = append(v.list, name)
		}
	}
}

// inner returns the entries of an index inside the index. One that cannot be read costs the list
// its variants, and the module nothing else.
func (v *variants) inner(ctx context.Context, e oci.Entry, depth int) []oci.Entry {
	if e.Nested != nil || depth == 0 || v.reads == 0 {
		return e.Nested
	}
	v.reads--
	raw, err := v.from.Blob(ctx, e.Descriptor)
	if err == nil {
		var index oci.Index
		if index, err = oci.ParseIndex(raw); err == nil {
			return index.Entries
		}
	}
	v.Notef("the variants of entry %d are not listed: %v", e.Position, err)
	return nil
}
