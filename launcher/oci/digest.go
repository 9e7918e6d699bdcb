// Package oci parses image references, image indexes, manifests and image configs. It is pure:
// bytes in, values out. It has its own JSON types, because those of the image specification's Go
// package drop platform.features, and it never rewrites what it read: digests are over the
// registry's own bytes.
package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// hexLength is the number of hexadecimal digits of the digest algorithms that the image
// specification registers.
func hexLength(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 64
	case "sha512":
		return 128
	}
	return 0
}

// ValidDigest reports whether s is a digest by the image specification: "sha256:" or "sha512:" and
// the right number of lower-case hexadecimal digits. A valid digest is safe as a file name.
func ValidDigest(s string) bool {
	algorithm, digits, ok := strings.Cut(s, ":")
	if !ok || len(digits) == 0 || len(digits) != hexLength(algorithm) {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// DigestOf returns the sha256 digest of raw.
func DigestOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Matches reports whether raw has this digest.
func Matches(digest string, raw []byte) bool {
	got := DigestOf(raw)
	if strings.HasPrefix(digest, "sha512:") {
		sum := sha512.Sum512(raw)
		got = "sha512:" + hex.EncodeToString(sum[:])
	}
	return ValidDigest(digest) && subtle.ConstantTimeCompare([]byte(got), []byte(digest)) == 1
}
