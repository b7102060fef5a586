package contract

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// sleeper is a replica of two workers, who answer by turns; the second gives an old Date in its first answers.
func sleeper(t *testing.T, oldAnswers int64) (Endpoint, *atomic.Int64) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		at := time.Now()
		if n%2 == 0 && n/2 <= oldAnswers {
			at = at.Add(-4 * time.Second)
		}
		w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(s.Close)
	return Endpoint{URL: s.URL}, &asked
}

// Replicas are asked until every worker's Date is current, and not longer.
func TestAwake(t *testing.T) {
	for oldAnswers, want := range map[int64]int64{0: 6, 1: 2 + 6, 5: 10 + 6} {
		replica, asked := sleeper(t, oldAnswers)
		began := time.Now()
		if err := Awake(t.Context(), []Endpoint{replica}, 2); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < time.Duration(oldAnswers)*awakeLook {
			t.Errorf("%d old answers: asked again without a pause, %v in all", oldAnswers, took)
		}
		if got := asked.Load(); got != want {
			t.Errorf("%d old answers: asked %d times, want %d", oldAnswers, got, want)
		}
	}
}

// A target that does not answer, or gives no Date, is left to the check.
func TestAwakeLeavesTheRestToTheCheck(t *testing.T) {
	silent := httptest.NewServer(http.NotFoundHandler())
	silent.Close()
	var asked atomic.Int64
	undated := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header()["Date"] = nil
	}))
	t.Cleanup(undated.Close)
	if err := Awake(t.Context(), []Endpoint{{URL: silent.URL}, {URL: undated.URL}}, 1); err != nil || asked.Load() != 3 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

// Replicas that close connections, or refuse them, are asked until they answer; what ends the run ends that.
func TestAnswering(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 5 {
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}))
	t.Cleanup(server.Close)
	if err := Answering(t.Context(), []Endpoint{{URL: server.URL}, {URL: server.URL}}); err != nil || asked.Load() != 7 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(errGone) })
	if err := Answering(ctx, []Endpoint{{URL: gone.URL}}); !errors.Is(err, errGone) {
		t.Error(err)
	}
}
