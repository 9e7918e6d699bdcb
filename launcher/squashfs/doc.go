// Package squashfs writes and reads SquashFS 4.0 file systems, the content of a SIF.
//
// The format is described by the Linux kernel (Documentation/filesystems/squashfs.rst and fs/squashfs/squashfs_fs.h): a superblock of 96
// bytes; data blocks and fragments; the inode table and the directory table; then the fragment, export, id and xattr tables.
// All numbers are little-endian. Everything from the inode table on is metadata: chunks of at most 8 KiB, each compressed
// by itself behind two bytes that tell its size and whether it is stored. A place in a table is a reference: the
// offset of the chunk in the table in the upper 48 bits, the offset in its 8 KiB in the lower 16.
package squashfs
