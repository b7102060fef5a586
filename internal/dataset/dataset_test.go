package dataset

import (
	"bytes"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func mustNew(t testing.TB, s Spec) *Dataset {
	t.Helper()
	d, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDigestGolden pins the rows: these digests are the same on every
// machine, and a change here makes every filled table another one.
func TestDigestGolden(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{1, 0, 1, 1}, "sha256:d189b5cd7180c3e900772acae009841338493cedf735236ea658fa6913d335e1"},
		{Spec{1000, 1, 1, 255}, "sha256:a39da948f824bf95f4f9a58d06d42eee90d4c22356bbc7f3eb743722a90674f7"},
		{Spec{1000, 2, 1, 255}, "sha256:e205fa690e2bdb06a5a2076eba4512a943791667df24d2bc32046e3e056ee9e4"},
		{Spec{5000, 1, 7, 9}, "sha256:5299943d5352ccfbf49c94e20c2198ad7075ab44eac361de99c04741fccbea3b"},
		{Spec{20000, 1, 1, 255}, "sha256:622bba698910767103106bac74fc04427d535ee46295a4b7c26edf03dd5bdeee"},
	} {
		if got := mustNew(t, c.spec).Digest(); got != c.want {
			t.Errorf("%+v: %s, not %s", c.spec, got, c.want)
		}
	}
}

// TestLinesAreNames builds the lines of all rows one by one and compares
// them with each fast way.
func TestLinesAreNames(t *testing.T) {
	d := mustNew(t, Spec{3*chunkRows + 17, 5, 1, 40})
	var want bytes.Buffer
	for id := range d.Rows() {
		want.WriteString(strconv.FormatInt(id+1, 10) + "\t" + d.Name(id+1) + "\n")
	}
	var got bytes.Buffer
	if n, err := d.WriteTo(&got); err != nil || n != int64(want.Len()) || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("WriteTo: %d bytes, %v", n, err)
	}
	var parts []byte
	for _, part := range [][2]int64{{1, 1}, {2, 5000}, {5001, d.Rows()}} {
		r := d.Reader(part[0], part[1])
		text, err := io.ReadAll(r)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Error(err)
		}
		parts = append(parts, text...)
	}
	if !bytes.Equal(parts, want.Bytes()) {
		t.Error("the readers of three ranges give other lines")
	}
	h := NewDigest()
	_, _ = h.Write(want.Bytes())
	if h.String() != d.Digest() {
		t.Errorf("digest %s, of the lines %s", d.Digest(), h)
	}
}

func TestReaderClosedEarly(t *testing.T) {
	d := mustNew(t, Spec{1_000_000, 5, 1, 255})
	r := d.Reader(1, d.Rows())
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // waits for the goroutines
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != io.ErrClosedPipe || n > 1<<21 {
		t.Errorf("after Close: %d bytes, %v", n, err)
	}
}

func TestNames(t *testing.T) {
	d := mustNew(t, Spec{100_000, 9, 1, 255})
	lengths := make([]int, 256)
	chars := map[byte]int{}
	total := 0
	for id := int64(1); id <= d.Rows(); id++ {
		name := d.Name(id)
		if !Plain(name) {
			t.Fatalf("row %d: %q", id, name)
		}
		lengths[len(name)]++
		total += len(name)
		for i := range len(name) {
			chars[name[i]]++
		}
	}
	// Each count is within 6 standard deviations of the uniform one.
	mean := float64(d.Rows()) / 255
	for length, n := range lengths[1:] {
		if math.Abs(float64(n)-mean) > 6*math.Sqrt(mean) {
			t.Errorf("%d names of length %d, about %.0f expected", n, length+1, mean)
		}
	}
	mean = float64(total) / 62
	for c, n := range chars {
		if math.Abs(float64(n)-mean) > 6*math.Sqrt(mean) {
			t.Errorf("%d times %q, about %.0f expected", n, c, mean)
		}
	}
	if len(chars) != 62 {
		t.Errorf("%d different characters", len(chars))
	}
}

// TestLookupAgainstMap compares with a map of all names, lower case.
func TestLookupAgainstMap(t *testing.T) {
	for _, spec := range []Spec{{50_000, 3, 1, 30}, {18, 1, 1, 1}, {640, 1, 2, 2}, {600, 1, 1, 2}, {20_000, 4, 1, 255}} {
		d := mustNew(t, spec)
		first := map[string]int64{}
		for id := int64(1); id <= d.Rows(); id++ {
			name := strings.ToLower(d.Name(id))
			if _, ok := first[name]; !ok {
				first[name] = id
			}
		}
		for id := int64(1); id <= d.Rows(); id++ {
			name := d.Name(id)
			want := first[strings.ToLower(name)]
			if got := d.First(id); got != want {
				t.Fatalf("%+v: First(%d) = %d, not %d", spec, id, got, want)
			}
			for _, variant := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				if got, ok := d.Lookup(variant); !ok || got != want {
					t.Fatalf("%+v: Lookup(%q) = %d %t, not %d", spec, variant, got, ok, want)
				}
			}
		}
		keys, _ := NewKeys(d, 1, 0)
		for n := range uint64(5000) {
			miss := string(keys.AppendMiss(nil, 1, n))
			if _, ok := first[strings.ToLower(miss)]; ok {
				t.Fatalf("%+v: %q should be absent", spec, miss)
			}
			if id, ok := d.Lookup(miss); ok {
				t.Fatalf("%+v: Lookup(%q) = %d", spec, miss, id)
			}
		}
		for name := range maps.Keys(first) { // a name that may or may not exist
			other := name[:len(name)-1] + string("10"[name[len(name)-1]&1])
			want, exists := first[strings.ToLower(other)]
			if got, ok := d.Lookup(other); ok != exists || got != want {
				t.Fatalf("%+v: Lookup(%q) = %d %t, not %d %t", spec, other, got, ok, want, exists)
			}
		}
		if err := d.Prove(); err != nil {
			t.Error(err)
		}
	}
}

func TestLookupOfStrangeNames(t *testing.T) {
	d := mustNew(t, Spec{1000, 1, 1, 255})
	for _, h := range HostileKeys() {
		if id, ok := d.Lookup(h.Key); ok {
			t.Errorf("%s: found as %d", h.What, id)
		}
	}
	if id, ok := d.Lookup(""); ok {
		t.Errorf("the empty name: found as %d", id)
	}
}

func TestSpecRefused(t *testing.T) {
	for _, s := range []Spec{{}, {0, 1, 1, 255}, {MaxRows + 1, 1, 1, 255}, {10, 1, 0, 255}, {10, 1, 1, 256}, {10, 1, 9, 8}, {-1, 1, 1, 1}, {19, 1, 1, 1}, {649, 1, 1, 2}, {839_809, 1, 1, 4}} {
		if d, err := New(s); err == nil || d != nil {
			t.Errorf("%+v accepted", s)
		}
	}
}

// TestKeysThatExistAreLikeOthers counts the bits of what the characters of a key come to: nothing but its length shows whether it
// exists.
func TestKeysThatExistAreLikeOthers(t *testing.T) {
	d := mustNew(t, Spec{50_000, 3, 1, 255})
	keys, err := NewKeys(d, 3, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	var all [2]float64 // keys that do not exist, and that do
	var set [2][40]float64
	for i := range uint64(60_000) {
		key, hit, _ := keys.AppendKey(nil, 1, i)
		if len(key) <= shortLength {
			continue
		}
		which := 0
		if hit {
			which = 1
		}
		var sum, xor byte
		for _, c := range key {
			sum, xor = sum+c, xor^c
		}
		all[which]++
		for j, value := range []byte{sum, xor, key[0], key[len(key)-1], byte(len(key))} {
			for bit := range 8 {
				set[which][8*j+bit] += float64(value >> bit & 1)
			}
		}
	}
	for i := range set[0] {
		absent, present := set[0][i]/all[0], set[1][i]/all[1]
		p := (set[0][i] + set[1][i]) / (all[0] + all[1])
		if sd := math.Sqrt(p * (1 - p) * (1/all[0] + 1/all[1])); math.Abs(absent-present) > 6*sd {
			t.Errorf("bit %d of number %d is set in %.4f of the keys that do not exist, in %.4f of those that do", i%8, i/8, absent, present)
		}
	}
}

// TestKeysPure shows that a key depends on its identity only, not on which
// agent asks or in what order.
func TestKeysPure(t *testing.T) {
	type identity struct{ stream, n uint64 }
	whole := map[identity]string{}
	spec := Spec{100_000, 1, 1, 255}
	keys, err := NewKeys(mustNew(t, spec), 7, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []uint64{0, 1 << 32, 1<<32 | 1, 1<<32 | 2} {
		for n := range uint64(500) {
			key, _, _ := keys.AppendKey(nil, stream, n)
			whole[identity{stream, n}] = string(key)
		}
	}
	for _, agents := range []uint64{1, 2, 3, 8} {
		seen := 0
		for agent := range agents {
			own, _ := NewKeys(mustNew(t, spec), 7, 0.5)
			for id, want := range whole {
				if id.n%agents != agent {
					continue
				}
				seen++
				if key, _, _ := own.AppendKey(nil, id.stream, id.n); string(key) != want {
					t.Fatalf("agent %d of %d: key %v is %q, not %q", agent, agents, id, key, want)
				}
			}
		}
		if seen != len(whole) {
			t.Fatalf("%d agents asked %d of %d keys", agents, seen, len(whole))
		}
	}
	other, _ := NewKeys(mustNew(t, spec), 8, 0.5)
	same := 0
	for id, key := range whole {
		if k, _, _ := other.AppendKey(nil, id.stream, id.n); len(key) > 4 && string(k) == key {
			same++
		}
	}
	if same > 5 {
		t.Errorf("another seed gives %d of %d keys again", same, len(whole))
	}
	distinct := slices.Compact(slices.Sorted(maps.Values(whole)))
	if len(distinct) < len(whole)*9/10 {
		t.Errorf("only %d of %d keys differ", len(distinct), len(whole))
	}
}

func TestHitRatio(t *testing.T) {
	d := mustNew(t, Spec{1000, 1, 1, 255})
	const n = 100_000
	for _, ratio := range []float64{0, 0.01, 0.5, 1} {
		keys, err := NewKeys(d, 3, ratio)
		if err != nil {
			t.Fatal(err)
		}
		hits := 0
		rows := make([]int, d.Rows()+1)
		for i := range uint64(n) {
			key, hit, id := keys.AppendKey(nil, 5, i)
			if hit != keys.Hit(5, i) {
				t.Fatal("Hit differs from AppendKey")
			}
			if want, ok := d.Lookup(string(key)); ok != hit || want != id {
				t.Fatalf("key %q: %t %d, the dataset says %t %d", key, hit, id, ok, want)
			}
			if hit {
				hits++
				rows[id]++
			}
		}
		if sd := math.Sqrt(n * ratio * (1 - ratio)); math.Abs(float64(hits)-n*ratio) > 6*sd {
			t.Errorf("ratio %v: %d hits of %d", ratio, hits, n)
		}
		if ratio == 1 {
			for id := int64(1); id <= d.Rows(); id++ {
				if mean := float64(n / 1000); d.First(id) == id && len(d.Name(id)) > shortLength && math.Abs(float64(rows[id])-mean) > 6*math.Sqrt(mean) {
					t.Errorf("row %d asked for %d times, about %.0f expected", id, rows[id], mean)
				}
			}
		}
	}
	for _, bad := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		if _, err := NewKeys(d, 1, bad); err == nil {
			t.Errorf("ratio %v accepted", bad)
		}
	}
}

func TestProveFindsDuplicates(t *testing.T) {
	d := mustNew(t, Spec{100, 1, 20, 30})
	if err := d.Prove(); err != nil {
		t.Fatal(err)
	}
	x := newIndex(10)
	name := []byte(d.Name(7))
	if !x.add(d, 7, hashName(name)) || x.add(d, 7, hashName(bytes.ToUpper(name))) {
		t.Error("a name met twice was not noticed")
	}
}

func BenchmarkLines(b *testing.B) {
	d := mustNew(b, Spec{100_000, 1, 1, 255})
	for b.Loop() {
		if _, err := d.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
