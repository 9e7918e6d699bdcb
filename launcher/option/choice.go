package option

import (
	"fmt"
	"slices"
	"strings"
)

// Entrypoint is what is put before the command.
type Entrypoint string

// The entrypoint modes.
const (
	Login Entrypoint = "login" // a login shell that runs the command with exact arguments
	Image Entrypoint = "image" // the image's own ENTRYPOINT and CMD, as docker would
	None  Entrypoint = "none"  // the command as it is
)

// Engine is what runs the SIF.
type Engine string

// The engines.
const (
	Auto      Engine = "auto"      // Apptainer if it is installed and works, else native
	Apptainer Engine = "apptainer" // Apptainer
	Native    Engine = "native"    // hpc3's own, rootless
)

// SquashFS is what reads the file system of a SIF for hpc3's own engine.
type SquashFS string

// The readers.
const (
	AnySquashFS   SquashFS = "auto"       // the kernel's if root trusts the SIF, else the best
	BuiltIn       SquashFS = "builtin"    // hpc3's own, over FUSE
	SquashfuseLL  SquashFS = "squashfuse" // squashfuse_ll, over FUSE
	KernelsDriver SquashFS = "kernel"     // the kernel's driver
)

// Pull is when the registry is asked.
type Pull string

// The pull policies.
const (
	Missing Pull = "missing" // only for what the cache lacks
	Always  Pull = "always"  // for the index each time
	Never   Pull = "never"   // not at all
)

// Variants is where the variants of an image are searched.
type Variants string

// The places.
const (
	AnyVariants   Variants = "auto"  // in the index; if there is none, in the repository's tags
	IndexVariants Variants = "index" // in the index only
	TagVariants   Variants = "tags"  // in the tags, beside what the reference names
)

// Choice is one word of a few. It is a struct because the TOML decoder sets a plain string type
// without calling its UnmarshalText.
type Choice[T word] struct{ Value T }

// Words returns the words that the choice may be.
func (Choice[T]) Words() []string { return T("").known() }

type word interface {
	~string
	known() []string
}

func (Entrypoint) known() []string { return texts(Login, Image, None) }
func (Engine) known() []string     { return texts(Auto, Apptainer, Native) }
func (Pull) known() []string       { return texts(Missing, Always, Never) }
func (Variants) known() []string   { return texts(AnyVariants, IndexVariants, TagVariants) }

func (SquashFS) known() []string {
	return texts(AnySquashFS, BuiltIn, SquashfuseLL, KernelsDriver)
}

func texts[T ~string](words ...T) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return list
}

// UnmarshalText reads one of the known words.
func (c *Choice[T]) UnmarshalText(b []byte) error {
	if known := c.Words(); !slices.Contains(known, string(b)) {
		return fmt.Errorf("%q is not one of %s", b, strings.Join(known, ", "))
	}
	c.Value = T(b)
	return nil
}
