package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Without a balancer nobody names the replicas: they are distinguished by address.
func TestReplicasWithoutABalancer(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		var urls []string
		for range 3 {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query().Get("name")) }))
			t.Cleanup(s.Close)
			urls = append(urls, s.URL)
		}
		job := closedJob(6, 300*time.Millisecond, urls...)
		sum := collect(t, e, job)
		var answers int64
		for _, u := range urls {
			r := sum.Replicas[strings.TrimPrefix(u, "http://")]
			if r.Answers == 0 {
				t.Errorf("%s has no answers: %v", u, sum.Replicas)
			}
			answers += r.Answers
		}
		if got := sum.Books.Answered(); answers != got || len(sum.Replicas) != 3 {
			t.Errorf("%d answers are put on %d replicas, %d were received", answers, len(sum.Replicas), got)
		}
	})
}
