// Package squashfs writes and reads SquashFS 4.0 file systems, the content of a SIF.
//
// The Linux kernel documents the format (Documentation/filesystems/squashfs.rst and
// fs/squashfs/squashfs_fs.h): a superblock of 96 bytes; data blocks and fragment blocks; the inode
// table and the directory table; then the fragment, export, id and xattr tables. All numbers are
// little-endian. Everything from the inode table on is metadata, in chunks of at most 8 KiB. Each
// chunk is compressed separately and preceded by two bytes: its size, and whether it is stored
// uncompressed. A reference names a place in a table: the upper 48 bits are the offset of the chunk
// in the table, the lower 16 the offset in the inflated chunk.
package squashfs
