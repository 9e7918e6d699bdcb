package choose

import (
	"path"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/fetch"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/settings"
)

// Reference reads what the user named. A word without a transport is the name of an image in a
// registry, even if something in the working directory is called so too, unless that is an image of
// some kind itself, or a file whose name no image has: then it is refused with both ways to write
// it, and no registry is asked. So a word never means one thing here and another thing in the next
// directory.
func Reference(image string, set settings.Settings) (oci.Reference, error) {
	ref, err := named(image, !set.Host.Plugin || set.Host.NoStart)
	if err == nil {
		err = registryOnly(ref, set)
	}
	return ref, err
}

// named looks into the working directory unless this is a task of a job, whose image was looked at
// when the job was submitted, in the directory where it was.
func named(image string, looks bool) (oci.Reference, error) {
	ref, err := oci.ParseReference(image)
	switch {
	case err == nil && (ref.Transport != oci.Registry || strings.HasPrefix(image, dockerPrefix)):
		return ref, nil
	case err != nil && strings.Contains(image, "://"), !looks:
		return ref, err
	}
	name := image
	found := fetch.Identify(name)
	if found.What == "" && strings.Contains(path.Base(image), ":") {
		name = image[:strings.LastIndexByte(image, ':')]
		if found = fetch.Identify(name); found.Dir {
			return ref, err // an image with a tag, and a directory with the image's name
		}
	}
	switch {
	case found.What == "" && err != nil && isPath(image):
		return ref, fault.New(fault.Reference,
			"image reference %q: there is no such file or directory", image).
			Hint("a path is relative to the working directory")
	case found.What == "":
		return ref, err
	case err == nil && !found.Image && (found.Dir || !strings.Contains(path.Base(name), ".")):
		return ref, err
	}
	return oci.Reference{}, isHere(image, name, found, err == nil)
}

const dockerPrefix = "docker://"

func isPath(s string) bool {
	return s != "" && strings.ContainsRune("/.~", rune(s[0])) || strings.HasSuffix(s, "/")
}

// isHere says what a word is in the working directory, and how to name it; named tells whether a
// registry may have an image of that name.
func isHere(image, name string, found fetch.Found, named bool) error {
	err := fault.New(fault.Reference, "image reference %q: it is a %s here: %s", image,
		kindOf(found), found.What)
	switch {
	case found.As == oci.SIF:
		err = err.Hint("write %s:%s", found.As, name)
	case found.As != "":
		err = err.Hint("write %s:%s", found.As, strings.TrimSuffix(image, "/"))
	case found.Mend != "":
		err = err.Hint("%s", strings.ReplaceAll(found.Mend, "%s", name))
	}
	if named {
		err = err.Hint("an image of this name in a registry is docker://%s", image)
	}
	return err
}

// HintFiles adds to an error about an image what the working directory has to do with it: a file
// has the name of an image in a registry, or a transport does not fit its file. written is the
// image as the user wrote it; "" if it was looked at before.
func HintFiles(written string, ref oci.Reference, err error) error {
	about := []fault.Class{fault.Reference, fault.Auth, fault.Registry}
	switch {
	case strings.HasPrefix(written, dockerPrefix), !slices.Contains(about, fault.ClassOf(err)):
		return err
	case ref.Transport != oci.Registry:
		return misfit(ref, err)
	case written == "":
		return err
	}
	found := fetch.Identify(written)
	if found.What == "" {
		return err
	}
	e := fault.WithHint(err, "%s was asked for an image of this name; %q is a %s here as well: %s",
		ref.Registry, written, kindOf(found), found.What)
	if found.Mend != "" {
		e = e.Hint("%s", strings.ReplaceAll(found.Mend, "%s", written))
	}
	return e
}

// misfit adds what a file or directory is, if that is an image of another kind than its transport
// says.
func misfit(ref oci.Reference, err error) error {
	found := fetch.Identify(ref.Path)
	switch {
	case !found.Image || found.As == ref.Transport:
		return err
	case isArchive(found.As) && isArchive(ref.Transport): // it may be both
		return err
	case found.As != "":
		return fault.WithHint(err, "it is %s: write %s:%s", found.What, found.As, ref.Path)
	}
	return fault.WithHint(err, "it is %s: %s", found.What,
		strings.ReplaceAll(found.Mend, "%s", ref.Path))
}

func isArchive(t oci.Transport) bool { return t == oci.LayoutArchive || t == oci.DockerArchive }

func kindOf(found fetch.Found) string {
	if found.Dir {
		return "directory"
	}
	return "file"
}
