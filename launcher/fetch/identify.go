package fetch

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/fault"
	"github.com/hpc3-project/hpc3/launcher/oci"
	"github.com/hpc3-project/hpc3/launcher/outside"
)

// Found is what a name in the file system leads to.
type Found struct {
	What string // "a tar file as docker save writes it"; "" where nothing is there
	Dir  bool   // a directory
	// an image of some kind, or what one is built from; otherwise a file that may share an image's
	// name
	Image bool
	As    oci.Transport // the transport by which it is taken; "" where it is not
	Mend  string        // where it is not taken, what to do; %s stands for its name
}

// maxIdentify bounds how much of a file is read to identify it. The first names in an archive tell,
// and they come early.
const maxIdentify = 16 << 20

// How to turn an image that is not taken into one that is.
const (
	toSIF = "apptainer build IMAGE.sif %s makes a SIF of it; or name the image in the registry " +
		"that it came from"
	toRun = "name the image before it: hpc3-run IMAGE %s"
)

// Identify identifies what a name in the file system leads to. It reads little, and only regular
// files.
func Identify(name string) Found {
	info, err := os.Stat(name)
	if err != nil {
		return Found{}
	}
	if info.IsDir() {
		return identifyDir(name)
	}
	f, err := outside.Open(name)
	if err != nil {
		return Found{What: "a file: " + fault.Reason(err).Error()}
	}
	defer f.Close()
	return identifyFile(f, path.Base(name))
}

func identifyDir(dir string) Found {
	has := func(names ...string) bool {
		for _, n := range names {
			if _, err := os.Stat(filepath.Join(dir, n)); err != nil {
				return false
			}
		}
		return true
	}
	found := Found{Dir: true, Image: true}
	switch {
	case has("index.json") && (has("oci-layout") || has("blobs")):
		found.What, found.As = "an OCI layout", oci.Layout
	case has("manifest.json", "version"):
		found.What, found.Mend = "an image as skopeo's dir: writes it",
			"skopeo copy dir:%s oci:NEW makes an OCI layout of it"
	case has(".singularity.d"):
		found.What, found.Mend = "a sandbox of Apptainer", toSIF
	case has("config.json", "rootfs"):
		found.What, found.Mend = "a bundle of an OCI runtime", toSIF
	case has("etc", "usr", "bin"):
		found.What, found.Mend = "the root of a file system", toSIF
	default:
		return Found{What: "no image is in it", Dir: true}
	}
	return found
}

// identifyFile identifies a regular file by its first bytes, and text also by its name.
func identifyFile(f *os.File, name string) Found {
	kind := compressionOf(f)
	head := bufio.NewReaderSize(io.LimitReader(f, maxIdentify), 4096)
	if kind != "" {
		r, err := inflated(kind, head)
		if err != nil {
			return Found{
				What: "a file compressed by " + kind + ", and damaged", Image: true,
				Mend: "copy or make it anew",
			}
		}
		head = bufio.NewReaderSize(io.LimitReader(r, maxIdentify), 4096)
	}
	first, err := head.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) && len(first) == 0 {
		return Found{What: "a file that cannot be read: " + fault.Reason(err).Error()}
	}
	found := identifyFileSystem(first)
	switch {
	case found.What == "" && isTar(first) && kind == "":
		if _, err := f.Seek(0, io.SeekStart); err == nil { // what is in between is not read
			found = identifyArchive(f)
		}
	case found.What == "" && isTar(first):
		found = identifyArchive(head)
	case found.What == "" && kind == "":
		return identifyText(first, name)
	}
	if kind != "" && found.As != oci.LayoutArchive && found.As != oci.DockerArchive {
		found.As, found.Mend = "", "unpack it first: "+unpackers[kind]+" %s"
		found.What = strings.TrimSpace(found.What + " compressed by " + kind)
	}
	return found
}

// unpackers names the program that unpacks each kind of compressed file.
//
//nolint:gochecknoglobals // a constant table
var unpackers = map[string]string{
	"gzip": "gunzip", "zstd": "unzstd", "xz": "unxz", "bzip2": "bunzip2",
}

// identifyFileSystem identifies images that are file systems.
func identifyFileSystem(head []byte) Found {
	at := func(offset int, magic string) bool {
		return len(head) >= offset+len(magic) && string(head[offset:offset+len(magic)]) == magic
	}
	switch {
	case at(32, "SIF_MAGIC"):
		return Found{What: "a SIF", Image: true, As: oci.SIF}
	case at(0, "hsqs"):
		return Found{
			What:  "a SquashFS file system, as enroot and Singularity 2 write it",
			Image: true, Mend: toSIF,
		}
	case at(0x438, "\x53\xef"):
		return Found{
			What: "an ext file system, as Singularity 2 writes it", Image: true,
			Mend: toSIF,
		}
	}
	return Found{}
}

func isTar(head []byte) bool { return len(head) > 262 && string(head[257:262]) == "ustar" }

// maxNames bounds how many names of a tar file are checked.
const maxNames = 1 << 12

// identifyArchive identifies a tar file by the names in it. The output of present-day docker save
// also holds an OCI layout.
func identifyArchive(r io.Reader) Found {
	t := tar.NewReader(r)
	for range maxNames {
		h, err := t.Next()
		if err != nil {
			break
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		first, _, _ := strings.Cut(name, "/")
		switch {
		case first == "blobs", name == "oci-layout", name == "index.json":
			return Found{What: "an OCI layout in a tar file", Image: true, As: oci.LayoutArchive}
		case name == "manifest.json", name == "repositories",
			isHex(strings.TrimSuffix(strings.TrimSuffix(first, ".json"), ".tar")):
			return Found{What: "what docker save writes", Image: true, As: oci.DockerArchive}
		}
	}
	return Found{
		What: "a tar file without an image", Image: true,
		Mend: "if docker export wrote it: docker import %s NAME, then docker save NAME -o FILE, " +
			"which is docker-archive:FILE",
	}
}

// isHex reports whether a word is the name of a layer or config: 64 hexadecimal digits.
func isHex(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }

// identifyText identifies files that are not images.
func identifyText(head []byte, name string) Found {
	lower := strings.ToLower(name)
	word := firstWord(head)
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return Found{What: "a program", Mend: toRun}
	case bytes.HasPrefix(head, []byte("#!")):
		return Found{What: "a script", Mend: toRun}
	case strings.EqualFold(word, "bootstrap:"), strings.HasSuffix(lower, ".def"):
		return Found{
			What: "a definition file of Apptainer", Image: true,
			Mend: "apptainer build IMAGE.sif %s makes an image of it, which is IMAGE.sif",
		}
	case strings.HasPrefix(lower, "dockerfile"), strings.HasPrefix(lower, "containerfile"),
		strings.HasSuffix(lower, ".dockerfile"), word == "FROM":
		return Found{
			What: "a file that an image is built from", Image: true,
			Mend: "docker build -f %s . makes an image of it; push it to a registry, or docker " +
				"save it, which is docker-archive:FILE",
		}
	}
	return Found{What: "no image is in it"}
}

// firstWord returns the first word of a text outside comments.
func firstWord(head []byte) string {
	for line := range strings.Lines(string(head)) {
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			return words[0]
		}
	}
	return ""
}
