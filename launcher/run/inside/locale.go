package inside

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/hpc3-project/hpc3/launcher/squashfs"
)

// localesOf returns the locales that variables of env name.
func localesOf(env []string) []string {
	var wanted []string
	for _, e := range env {
		if name, value, _ := strings.Cut(e, "="); isLocale(name) &&
			!slices.Contains(wanted, value) {
			wanted = append(wanted, value)
		}
	}
	return wanted
}

func isLocale(name string) bool { return name == "LANG" || strings.HasPrefix(name, "LC_") }

// lackedLocales returns those of the wanted locales that an image with glibc lacks. musl accepts
// every name.
func lackedLocales(img *squashfs.FS, wanted []string) []string {
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(name string) bool {
		if slices.Contains([]string{"", "C", "POSIX", "C.utf8"}, normalLocale(name)) {
			return true
		}
		_, err := img.Resolve("/usr/lib/locale/" + normalLocale(name))
		return err == nil
	})
	if len(wanted) == 0 || hasMusl(img, "/lib") {
		return nil
	}
	archived := archivedLocales(img)
	return slices.DeleteFunc(wanted,
		func(name string) bool { return slices.Contains(archived, normalLocale(name)) })
}

// normalLocale writes a locale as glibc does in its file names: the codeset in lower case, without
// punctuation.
func normalLocale(name string) string {
	name, modifier, modified := strings.Cut(name, "@")
	place, codeset, has := strings.Cut(name, ".")
	if has {
		place += "." + strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(codeset), "-", ""),
			"_", "")
	}
	if modified {
		place += "@" + modifier
	}
	return place
}

// hasMusl tells whether musl's loader is in a directory of an image.
func hasMusl(img *squashfs.FS, dir string) bool {
	lib, err := img.Resolve(dir)
	if err != nil {
		return false
	}
	names, err := img.ReadDir(lib)
	return err == nil && slices.ContainsFunc(names,
		func(d squashfs.DirEntry) bool { return strings.HasPrefix(d.Name, "ld-musl-") })
}

// The header of glibc's locale archive (locarchive.h) consists of 32-bit words. These constants say
// where the names are.
const (
	archiveMagic     = 0xde020109
	archiveStringsAt = 5 * 4
	archiveHead      = 8 * 4
	maxArchiveNames  = 1 << 20 // all locales of glibc need 16 KiB
)

// archivedLocales returns the names in the image's locale archive.
func archivedLocales(img *squashfs.FS) []string {
	ref, err := img.Resolve("/usr/lib/locale/locale-archive")
	if err != nil {
		return nil
	}
	return archiveNames(func(p []byte, at int64) bool {
		n, err := img.ReadAt(ref, p, at)
		return n == len(p) && (err == nil || n > 0)
	})
}

func archiveNames(read func(p []byte, at int64) bool) []string {
	var head [archiveHead]byte
	if !read(head[:], 0) {
		return nil
	}
	// The archive is in the byte order of the image's processor.
	order := binary.ByteOrder(binary.LittleEndian)
	if order.Uint32(head[:]) != archiveMagic {
		order = binary.BigEndian
	}
	if order.Uint32(head[:]) != archiveMagic {
		return nil
	}
	at, used := order.Uint32(head[archiveStringsAt:]), order.Uint32(head[archiveStringsAt+4:])
	names := make([]byte, min(used, maxArchiveNames))
	if !read(names, int64(at)) {
		return nil
	}
	return strings.Split(string(names), "\x00")
}
