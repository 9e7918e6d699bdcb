//go:build !cgo

package main

import "github.com/hpc3-project/hpc3/probe/facts"

// ask says why NVML cannot be asked. It lets the module build without a C compiler.
func ask(string, bool) facts.NVML {
	return facts.NVML{Error: "hpc3-gpu was built without cgo, through which alone it can load NVML"}
}
