package native

import (
	"os"

	"github.com/hpc3-project/hpc3/launcher/run/inside"
	"github.com/hpc3-project/hpc3/launcher/run/message"
)

// Stage is what the maker, and a joining task, need to know, handed over in a file in memory.
type Stage struct {
	Words     []string // what is executed
	Env       []string
	Mounts    []inside.Bind
	Workdirs  []string // tried in this order
	Strict    bool     // the first of Workdirs was asked for by name
	Passwd    string   // line for the caller
	Accounts  []string // lines for other users that the image does not know
	Groups    []string // lines for the caller's groups
	Writable  bool
	KeepPrivs bool // root keeps its capabilities
	Tool      bool // hpc3 enters, and failures have its own statuses
	Parent    int  // the process with which the command is to end; 0: none
	UID, GID  int
	Ignored   uint64 // the signals that the caller ignores: bit N is signal N
	Blocked   uint64 // the caller's signal mask
	FileSize  uint64 // the caller's limit of file sizes
	Prefix    string // of messages
	Whose     string // which module the command is of, for messages
	SIF       string // its name, for messages

	Squashfuse string // the program that serves the SIF; "" for hpc3 itself
	Fallback   bool   // hpc3 itself serves it if that program fails
}

// ToolStage is what hpc3 becomes, except for the command, its environment and its directory.
func ToolStage() Stage {
	return Stage{
		UID: os.Getuid(), GID: os.Getgid(), Ignored: entryIgnored, Blocked: entryBlocked,
		Prefix: entryName, Tool: true,
	}
}

// Kind is the message's.
func (*Stage) Kind() string { return "plan" }

// Pack writes a stage as a message.
func (st *Stage) Pack() ([]byte, error) { return message.Pack(st) }

// unpack reads what pack has written.
func unpack(raw []byte) (Stage, error) {
	var st Stage
	err := message.Unpack(raw, &st)
	return st, st.whole(err)
}

func readPlan(fd int) (Stage, error) {
	var st Stage
	err := message.FromMemory(fd, &st)
	return st, st.whole(err)
}

// whole is an error, or that of a plan without a command.
func (st *Stage) whole(err error) error {
	if err == nil && len(st.Words) == 0 {
		return message.DamagedError{Kind: st.Kind()}
	}
	return err
}
