package programs

import (
	"encoding/json"
	"io"
	"path"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// Bounds of the search for directories that Spack or conda install into: how many directories are
// looked from, and how far up. Spack has bin in the prefix, and the data base up to six above that.
const (
	maxPrefixes = 4096
	maxUp       = 8
)

// prefixes are directories that Spack and conda install into.
type prefixes struct {
	*tree
	at      map[string]*prefix         // by a directory of programs; nil for none
	indexes map[string]map[string]bool // of Spack, by their files; see index
	left    int64                      // how many bytes of data bases may still be read
}

func newPrefixes(t *tree) *prefixes {
	return &prefixes{
		tree: t, at: map[string]*prefix{}, indexes: map[string]map[string]bool{}, left: maxLists,
	}
}

// prefix tells of a program below it whether it was asked for, or came with another.
type prefix struct {
	spack *bool           // all that is in it was asked for; nil if that is not known
	conda map[string]bool // files that came with what was asked for are false
}

// implied tells whether a program that no package of the distribution owns was installed only
// because another needs it. Symlinks such as those of a Spack view lead to where it was installed.
func (p *prefixes) implied(c command) bool {
	file := c.file
	if c.target != "" {
		file = c.target
	}
	dir := path.Dir(file)
	found, known := p.at[dir]
	if !known && len(p.at) < maxPrefixes {
		found = p.find(dir)
		p.at[dir] = found
	}
	if found == nil {
		return false
	}
	asked, known := found.conda[file]
	return found.spack != nil && !*found.spack || known && !asked
}

// find returns the prefix that a directory of programs is in.
func (p *prefixes) find(dir string) *prefix {
	for range maxUp {
		if p.has(dir + "/.spack") {
			return &prefix{spack: p.spack(dir)}
		}
		if p.has(dir + "/conda-meta/history") {
			return &prefix{conda: p.conda(dir)}
		}
		if dir == "/" {
			break
		}
		dir = path.Dir(dir)
	}
	return nil
}

func (t *tree) has(file string) bool {
	_, _, err := t.trace(file)
	return err == nil
}

// spack looks a prefix up in Spack's data base, which is above all of its prefixes. They are told
// by their last part, which has a hash: the whole may have been moved when the image was built.
func (p *prefixes) spack(prefix string) *bool {
	dir := prefix
	for range maxUp {
		dir = path.Dir(dir)
		file := path.Join(dir, ".spack-db/index.json")
		if !p.has(file) {
			continue
		}
		if explicit, known := p.index(file)[path.Base(prefix)]; known {
			return &explicit
		}
		break
	}
	return nil
}

// index reads which prefixes were asked for, by their last parts.
func (p *prefixes) index(file string) map[string]bool {
	if index, known := p.indexes[file]; known {
		return index
	}
	var index struct {
		Database struct {
			Installs map[string]struct {
				Path     string `json:"path"`
				Explicit bool   `json:"explicit"`
			} `json:"installs"`
		} `json:"database"`
	}
	explicit := map[string]bool{}
	if p.json(file, &index) == nil {
		for _, i := range index.Database.Installs {
			explicit[path.Base(i.Path)] = i.Explicit
		}
	}
	p.indexes[file] = explicit
	return explicit
}

// conda reads which files belong to packages that were named on a command line of conda, and which
// do not; nil if none was.
func (p *prefixes) conda(prefix string) map[string]bool {
	asked := map[string]bool{}
	_, err := p.lines(prefix+"/conda-meta/history", maxDatabase, func(line string) {
		for _, name := range condaSpecs(line) {
			asked[name] = !strings.HasPrefix(line, "# remove")
		}
	})
	if err != nil || len(asked) == 0 {
		return nil
	}
	files := map[string]bool{}
	err = p.each(prefix+"/conda-meta", maxPackages, func(e squashfs.DirEntry) error {
		if path.Ext(e.Name) != ".json" {
			return nil
		}
		var record struct {
			Name  string   `json:"name"`
			Files []string `json:"files"`
		}
		if err := p.json(path.Join(prefix, "conda-meta", e.Name), &record); err != nil {
			return err
		}
		for _, f := range record.Files {
			if dir, name := path.Split(f); dir == "bin/" && len(files) < maxFiles {
				files[path.Join(prefix, dir, name)] = asked[record.Name]
			}
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return files
}

// condaSpecs returns the names of packages in a line of conda's history, such as
// "# update specs: ['conda-forge::gromacs=2021', "python>=3.9"]".
func condaSpecs(line string) (names []string) {
	what, list, ok := strings.Cut(line, " specs: ")
	if !ok || what != "# update" && what != "# install" && what != "# remove" {
		return nil
	}
	for spec := range strings.SplitSeq(list, ",") {
		spec = strings.Trim(spec, ` []'"`)
		if at := strings.LastIndex(spec, "::"); at >= 0 {
			spec = spec[at+2:]
		}
		if at := strings.IndexAny(spec, " =<>!~["); at >= 0 {
			spec = spec[:at]
		}
		if spec != "" {
			names = append(names, strings.ToLower(spec))
		}
	}
	return names
}

// json reads a file of a data base into a value.
func (p *prefixes) json(file string, into any) error {
	_, ref, err := p.trace(file)
	if err != nil {
		return err
	}
	a, err := p.fs.Stat(ref)
	if err != nil {
		return err
	}
	if int64(a.Size) > min(maxDatabase, p.left) {
		return errLarge
	}
	p.left -= int64(a.Size)
	f, err := p.fs.OpenFile(ref)
	if err != nil {
		return err
	}
	return json.NewDecoder(io.NewSectionReader(f, 0, int64(a.Size))).Decode(into)
}
