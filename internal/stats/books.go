package stats

import "fmt"

// Books account for every request of a stretch of load:
// Planned = Sent + Dropped and Sent = OK + Bad + Timeout + Error. All are counts.
type Books struct {
	Planned int64 `json:"planned"`
	Sent    int64 `json:"sent"`
	Dropped int64 `json:"dropped"`
	OK      int64 `json:"ok"`
	Bad     int64 `json:"bad"` // answered, but not as it should be
	Timeout int64 `json:"timeout"`
	Error   int64 `json:"error"`
	Late    int64 `json:"late"`   // taken up more than 1 ms after the intended time: our fault
	Queued  int64 `json:"queued"` // taken up in time, but had to wait for a free connection: the target's doing
}

// Add adds the counts of o.
func (b *Books) Add(o Books) {
	b.Planned += o.Planned
	b.Sent += o.Sent
	b.Dropped += o.Dropped
	b.OK += o.OK
	b.Bad += o.Bad
	b.Timeout += o.Timeout
	b.Error += o.Error
	b.Late += o.Late
	b.Queued += o.Queued
}

// Answered is the number of whole answers received.
func (b Books) Answered() int64 { return b.OK + b.Bad }

// Exact returns an error naming the equation that does not hold.
func (b Books) Exact() error {
	if b.Planned != b.Sent+b.Dropped {
		return fmt.Errorf("books: planned %d is not sent %d + dropped %d", b.Planned, b.Sent, b.Dropped)
	}
	if b.Sent != b.OK+b.Bad+b.Timeout+b.Error {
		return fmt.Errorf("books: sent %d is not ok %d + bad %d + timeout %d + error %d", b.Sent, b.OK, b.Bad, b.Timeout, b.Error)
	}
	return nil
}
