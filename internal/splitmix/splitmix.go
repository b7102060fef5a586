// Package splitmix is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014, with
// Stafford's variant 13): random numbers as a pure function of their position. What is drawn from it is in every record, so
// its outputs must never change.
package splitmix

// Gamma is by how much the state moves on with each draw: odd, the golden ratio of 2^64.
const Gamma = 0x9e3779b97f4a7c15

// Finalize spreads every bit over all of them; it is one to one.
func Finalize(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Mix is the first draw from the state x: one number made of another.
func Mix(x uint64) uint64 { return Finalize(x + Gamma) }

// Source draws one number after another. Its state begins as any number.
type Source struct{ State uint64 }

// Next is 64 random bits.
func (s *Source) Next() uint64 {
	s.State += Gamma
	return Finalize(s.State)
}

// Below is uniform over 0 to n-1: draws in the incomplete last stretch of n are thrown away.
func (s *Source) Below(n uint64) uint64 {
	reject := -n % n // 2^64 mod n
	for {
		if x := s.Next(); x >= reject {
			return x % n
		}
	}
}
