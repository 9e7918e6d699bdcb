// Package squashfs writes and reads SquashFS 4.0 file systems.
package squashfs
