package convert

import "github.com/hpc3-project/hpc3/launcher/squashfs"

// counted returns an output that tells of what is written to it.
func counted(out squashfs.Output, told func(n int)) squashfs.Output {
	if told == nil {
		return out
	}
	return countedOutput{out, told}
}

type countedOutput struct {
	squashfs.Output
	told func(n int)
}

func (c countedOutput) Write(p []byte) (int, error) {
	n, err := c.Output.Write(p)
	c.told(n)
	return n, err
}
