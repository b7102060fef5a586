package load

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

type echoWork struct{}

func (echoWork) AppendTarget(dst []byte, stream, n uint64) []byte {
	return fmt.Appendf(dst, "/demo?name=k%d", n)
}
func (echoWork) Length(stream, n uint64, length int64) bool { return true }
func (echoWork) Check(stream, n uint64, status int, body []byte) string {
	if string(body) != fmt.Sprintf("k%d", n) {
		return "wrong body"
	}
	return ""
}
func (echoWork) Hit(stream, n uint64) (bool, bool) { return n%2 == 0, true }

func TestSmoke(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(replicaHeader, "a-1")
		fmt.Fprint(w, r.URL.Query().Get("name"))
	}))
	defer s.Close()
	for _, model := range []string{Open, Closed} {
		job := Job{URLs: []string{s.URL}, Seed: 1, Share: Share{0, 1}, Workload: echoWork{}, Start: time.Now().Add(100 * time.Millisecond),
			Phase: Phase{Model: model, Connections: 16, Rate: 1000, Duration: 2 * time.Second, Timeout: time.Second, CheckShare: 0.1}}
		sum := newWindow(0)
		err := NewHTTP().Run(context.Background(), job, func(w Window) {
			sum.Books.Add(w.Books)
			sum.Lateness.Merge(w.Lateness)
			sum.Service.Merge(w.Service)
			t.Logf("%d %+v cpu %v inflight %.3f outcomes %v hits %d opened %d replicas %d", w.Second, w.Books, w.CPU, w.InFlight, w.Outcomes, w.Hits, w.Opened, w.Replicas["a-1"].Answers)
		})
		if err != nil {
			t.Fatal(err)
		}
		l50, _ := sum.Lateness.Quantile(.5)
		l99, _ := sum.Lateness.Quantile(.99)
		s50, _ := sum.Service.Quantile(.5)
		t.Log(l50, l99, s50)
		if err := sum.Books.Exact(); err != nil {
			t.Fatal(err)
		}
	}
}
