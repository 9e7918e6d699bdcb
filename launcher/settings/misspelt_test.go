package settings

import (
	"slices"
	"testing"
)

func TestMisspeltVariables(t *testing.T) {
	h := Host{
		Environ: []string{
			"HPC3_ENGIN=native", "HPC3_CONTAINER_MOUNT=/x", "HPC3_CACHE_DIR=/y", // wrong
			"HPC3_ENGINE=native", "HPC3_CONFIG=/x", "HPC3_INDEX_DIGEST=x", "HPC3_NO_CONTAINER=", // right
			"HPC3_LAB=/x", "HPC3_REQUIRE=native", "HPC3_HOME=/sw/hpc3", "HPC3_", "HPC_ENGIN=", "ENGIN=", // of others
		},
	}
	said := h.Misspelt()
	want := []string{
		"warning: the variable HPC3_ENGIN does nothing; the nearest is HPC3_ENGINE",
		"warning: the variable HPC3_CONTAINER_MOUNT does nothing; the nearest is HPC3_CONTAINER_MOUNTS",
		"warning: the variable HPC3_CACHE_DIR does nothing; the nearest is HPC3_CACHEDIR",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
