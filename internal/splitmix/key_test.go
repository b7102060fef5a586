package splitmix

import "testing"

// The output is the one that SipHash's authors published for the key 00 to 0f and the 16 bytes 00 to 0f.
func TestDrawPublished(t *testing.T) {
	k := Key{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	if got := k.Draw(0x0706050403020100, 0x0f0e0d0c0b0a0908); got != 0x3f2acc7f57c29bdb {
		t.Errorf("draw %#x", got)
	}
}

// Another secret, another purpose or another position gives other draws.
func TestKeysApart(t *testing.T) {
	seen := map[uint64]bool{}
	for _, secret := range []string{"a", "b"} {
		for _, purpose := range []string{"keys", "checks"} {
			for n := range uint64(100) {
				seen[NewKey(secret, purpose).Draw(n, 1)] = true
				seen[NewKey(secret, purpose).Draw(1<<40, n)] = true
			}
		}
	}
	if len(seen) != 800 {
		t.Errorf("%d different draws of 800", len(seen))
	}
	if !NewKey("", "keys").IsZero() || NewKey("a", "keys").IsZero() {
		t.Error("only an empty secret gives no key")
	}
}
