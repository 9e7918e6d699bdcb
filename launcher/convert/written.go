package convert

import "github.com/hpc3-project/hpc3/launcher/squashfs"

// counted returns an output that calls written with the number of bytes of each write.
func counted(out squashfs.Output, written func(n int)) squashfs.Output {
	if written == nil {
		return out
	}
	return countedOutput{out, written}
}

type countedOutput struct {
	squashfs.Output
	written func(n int)
}

func (c countedOutput) Write(p []byte) (int, error) {
	n, err := c.Output.Write(p)
	c.written(n)
	return n, err
}
