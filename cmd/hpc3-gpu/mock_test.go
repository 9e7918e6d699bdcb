//go:build cgo

package main

import (
	"errors"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh200"
)

// mocked is a machine of go-nvml's own mocks. They say that they have every symbol, and panic where
// one is called that they lack.
type mocked struct{ nvml.Interface }

func (m mocked) Extensions() nvml.ExtendedInterface { return m }

func (mocked) LookupSymbol(name string) error {
	if name == "nvmlSystemGetCudaDriverVersion_v2" {
		return errors.New("not mocked")
	}
	return nil
}

func TestDGX(t *testing.T) {
	for _, c := range []struct {
		name                    string
		machine                 nvml.Interface
		driver, cuda, gpu, arch string
		gib                     uint64
	}{
		{"A100", dgxa100.New(), "550.54.15", "12.4", "Mock NVIDIA A100-SXM4-40GB", "8.0", 40},
		{"H100", dgxh100.New(), "550.54.15", "12.4", "NVIDIA H100 80GB HBM3", "9.0", 80},
		{"H200", dgxh200.New(), "550.54.15", "12.4", "NVIDIA H200 141GB HBM3e", "9.0", 141},
		{"B200", dgxb200.New(), "560.28.03", "12.6", "NVIDIA B200 180GB HBM3e", "10.0", 180},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := driver{mocked{c.machine}}.answer("", false)
			if err != nil || got.Driver != c.driver || got.CUDA != c.cuda || len(got.GPUs) != 8 {
				t.Fatalf("answer %+v, %v; want driver %s, CUDA %s and 8 GPUs", got, err, c.driver, c.cuda)
			}
			uuids := map[string]bool{}
			for _, g := range got.GPUs {
				uuids[g.UUID] = true
				if g.Vendor != "nvidia" || g.Name != c.gpu || g.Arch != c.arch || g.MemoryBytes != c.gib<<30 || g.MIG {
					t.Errorf("GPU %+v; want %s of capability %s with %d GiB", g, c.gpu, c.arch, c.gib)
				}
			}
			if len(uuids) != 8 {
				t.Errorf("8 GPUs have %d UUIDs", len(uuids))
			}
			two, err := driver{mocked{c.machine}}.answer("6,1", true)
			if err != nil || len(two.GPUs) != 2 || two.GPUs[0].UUID != got.GPUs[6].UUID || two.GPUs[1].UUID != got.GPUs[1].UUID {
				t.Errorf("with CUDA_VISIBLE_DEVICES=6,1: %+v, %v", two.GPUs, err)
			}
		})
	}
}
