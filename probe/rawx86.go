//go:build amd64 || 386

package probe

import "github.com/klauspost/cpuid/v2"

// rawCPUID executes the CPUID instruction.
func rawCPUID(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// rawXCR0 reads XCR0. A CPU without OSXSAVE does not know the instruction.
func rawXCR0() (eax, edx uint32)

// cpuidRegisters returns what CPUID answers for a leaf, if the CPU has it.
func cpuidRegisters(leaf, sub uint32) [4]uint32 {
	eax, ebx, ecx, edx := rawCPUID(leaf, sub)
	return [4]uint32{eax, ebx, ecx, edx}
}

// ownState returns the parts of the CPU's state that the kernel saves for programs, by XCR0.
func ownState() uint64 {
	if !cpuid.CPU.Has(cpuid.OSXSAVE) {
		return 0
	}
	low, high := rawXCR0()
	return uint64(high)<<32 | uint64(low)
}
