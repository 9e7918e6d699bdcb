package inside

import "testing"

func TestWithAccounts(t *testing.T) {
	slurm := []string{"slurm:x:64030:64030::/nonexistent:/bin/false"}
	for passwd, want := range map[string]string{
		"":                     slurm[0] + "\n",
		"root:x:0:0:::":        "root:x:0:0:::\n" + slurm[0] + "\n",
		"root:x:0:0:::\n":      "root:x:0:0:::\n" + slurm[0] + "\n",
		"slurm:x:1:1:::\n":     "slurm:x:1:1:::\n",
		"a:::\nslurm:x:1:1:::": "a:::\nslurm:x:1:1:::",
		"slurmer:x:1:1:::\n":   "slurmer:x:1:1:::\n" + slurm[0] + "\n",
	} {
		if got := string(WithAccounts([]byte(passwd), slurm)); got != want {
			t.Errorf("withAccounts(%q) = %q, want %q", passwd, got, want)
		}
	}
}
