package message

import (
	"errors"

	"golang.org/x/sys/unix"
)

// maxLength bounds a message at a socket: some paths and numbers.
const maxLength = 5 * unix.PathMax

// maxDescriptors bounds the descriptors of a message.
const maxDescriptors = 3

// ErrClosed says that the other end of a socket is closed.
var ErrClosed = errors.New("the connection was closed")

// Send writes a message and descriptors to a socket. The descriptors stay open in this process.
func Send(sock int, m Message, fds ...int) error {
	raw, err := Pack(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(sock, raw, rights, nil, unix.MSG_NOSIGNAL)
}

// Receive reads a message of this kind, and the descriptors that came with it. The error is
// ErrClosed if the other end is closed.
func Receive(sock int, m Message) (fds []int, err error) {
	raw, oob := make([]byte, maxLength), make([]byte, unix.CmsgSpace(maxDescriptors*4))
	n, oobn := 0, 0
	for {
		n, oobn, _, _, err = unix.Recvmsg(sock, raw, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, ErrClosed
	}
	if fds, err = descriptors(oob[:oobn]); err != nil {
		return nil, err
	}
	if err := Unpack(raw[:n], m); err != nil {
		CloseAll(fds)
		return nil, err
	}
	return fds, nil
}

func descriptors(oob []byte) (fds []int, err error) {
	parts, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		rights, err := unix.ParseUnixRights(&part)
		if err != nil {
			return nil, err
		}
		fds = append(fds, rights...)
	}
	return fds, nil
}

// CloseAll closes open descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// AwaitEnd waits until the other end of a socket is closed.
func AwaitEnd(sock int) {
	var one [1]byte
	for {
		if _, err := unix.Read(sock, one[:]); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// Memory returns a file in memory that holds a packed message of any length.
func Memory(raw []byte) (int, error) {
	fd, err := unix.MemfdCreate("hpc3-plan", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if err := WriteAll(fd, raw); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// WriteAll writes to a file in memory.
func WriteAll(fd int, raw []byte) error {
	for len(raw) > 0 {
		n, err := unix.Write(fd, raw)
		if err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}

// FromMemory reads a message from the beginning of such a file, and closes it.
func FromMemory(fd int, m Message) error {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	raw := make([]byte, s.Size)
	for at := 0; at < len(raw); {
		n, err := unix.Pread(fd, raw[at:], int64(at))
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("it is cut short")
		}
		at += n
	}
	return errors.Join(Unpack(raw, m), unix.Close(fd))
}
