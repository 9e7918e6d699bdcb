package option

import "testing"

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "none": -1, "20GB": 20e9, "20 GB": 20e9, "500MiB": 500 << 20, "1.5T": 15e11, "7": 7, "7B": 7, "2K": 2000, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := ParseSize(s); err != nil || got.Bytes != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got.Bytes, err, want)
		}
	}
	for _, s := range []string{"", "GB", "-1", "-1GB", "1e3", "20gb", "1PB", "NaN", "Inf", "9223372036854775808", "10000000TB", "0x10"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got.Bytes)
		}
	}
}

func TestParseAge(t *testing.T) {
	for s, want := range map[string]int{"0": 0, "none": -1, "30": 30, "30d": 30} {
		if got, err := ParseAge(s); err != nil || got.Days != want {
			t.Errorf("ParseAge(%q) = %d, %v, want %d", s, got.Days, err, want)
		}
	}
	for _, s := range []string{"", "d", "-1", "3h", "30dd", "1.5", "999999999"} {
		if got, err := ParseAge(s); err == nil {
			t.Errorf("ParseAge(%q) = %d, want an error", s, got.Days)
		}
	}
}

func FuzzSizeAndAge(f *testing.F) {
	for _, s := range []string{"20GB", "1.5T", "none", "30d", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if size, err := ParseSize(s); err == nil {
			if again, err := ParseSize(size.String()); err != nil || again != size {
				t.Errorf("ParseSize(%q) = %+v; its String() reads back as %+v, %v", s, size, again, err)
			}
		}
		if age, err := ParseAge(s); err == nil {
			if again, err := ParseAge(age.String()); err != nil || again != age {
				t.Errorf("ParseAge(%q) = %+v; its String() reads back as %+v, %v", s, age, again, err)
			}
		}
	})
}
