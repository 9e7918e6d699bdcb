// Command hpc3-gpu prints as JSON, in the form of facts.NVML, which NVIDIA driver a node has and
// which of its GPUs the caller may use. It is a process of its own because NVML is a library of the
// driver: a broken one ends or hangs the process that loads it. If NVML cannot be asked, it prints
// the reason and exits 1.
package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/hpc3-project/hpc3/probe/facts"
)

func main() {
	setting, set := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	os.Exit(run(setting, set, os.Stdout))
}

// run prints what NVML says of the GPUs that CUDA_VISIBLE_DEVICES leaves.
func run(setting string, set bool, stdout io.Writer) int {
	answer := ask(setting, set)
	answer.SchemaVersion = facts.SchemaVersion
	if err := json.NewEncoder(stdout).Encode(answer); err != nil || answer.Error != "" {
		return 1
	}
	return 0
}
