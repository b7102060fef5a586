package contract

import (
	"context"
	"net/http"
	"time"
)

const (
	// awakeMost is how long Awake waits: what is wrong then is the check's to say.
	awakeMost = 10 * time.Second
	// awakeLook is how long it waits for another answer after one that was old.
	awakeLook = 20 * time.Millisecond
	// awakeAge is how old a Date may be: servers renew it once a second, and it is cut to seconds.
	awakeAge = 2 * time.Second
	// awakePerWorker is how many answers in a row must be current, for each worker of a replica: each has its own clock.
	awakePerWorker = 3
	// answeringLook is how long Answering waits before it asks again.
	answeringLook = 50 * time.Millisecond
)

// Awake waits until replicas that stood still know the time again. A server that renews its Date by a timer of its own
// gives an old one until that timer has run, which on a busy machine takes some seconds; a check right after would take
// that for a fault. It asks each replica for /ping, every time over a new connection, until enough answers in a
// row are current; at most for 10 s in all. It judges nothing and returns only an error of ctx.
func Awake(ctx context.Context, replicas []Endpoint, workers int) error {
	ask := newAsker(hider(nil), awakeMost, Kept)
	ask.client.Transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: answerLimit}
	for _, at := range replicas {
		for current := 0; current < awakePerWorker*max(1, workers); {
			a := ask.ask(ctx, http.MethodGet, at.URL, "/ping")
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if a.err == errTooLong {
				return nil
			}
			if a.err != nil { // the check will say so
				break
			}
			if current++; !old(a) {
				continue
			}
			current = 0
			if err := pause(ctx, awakeLook); err != nil {
				return err
			}
		}
	}
	return nil
}

// old reports whether the Date of an answer is from before it was asked for, by more than servers usually are.
func old(a answer) bool {
	date, err := http.ParseTime(a.header.Get("Date"))
	return err == nil && date.Before(a.asked.Add(-awakeAge))
}

// Answering waits until each replica answers again after a load that was too much for it; at most for 10 s in all. Like Awake it
// judges nothing, and returns only an error of ctx.
func Answering(ctx context.Context, replicas []Endpoint) error {
	until := time.Now().Add(awakeMost)
	for _, at := range replicas {
		for time.Now().Before(until) {
			ask := newAsker(hider(nil), awakeMost, Closed) // each has given up nothing yet
			a := ask.ask(ctx, http.MethodGet, at.URL, "/ping")
			ask.close()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if a.err == nil {
				break
			}
			if err := pause(ctx, answeringLook); err != nil {
				return err
			}
		}
	}
	return nil
}
