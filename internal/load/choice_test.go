package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// choosy has a target for each URL, and takes 404 for right.
type choosy struct{ echoWork }

func (choosy) AppendTargetOf(dst []byte, url int, _, _ uint64) []byte {
	return fmt.Appendf(dst, "/url-%d", url)
}
func (choosy) RightStatus(status int) bool      { return status == http.StatusNotFound }
func (choosy) Length(_, _ uint64, _ int64) bool { return true }
func (choosy) Check(_, _ uint64, status int, _ []byte) string {
	if status == http.StatusNotFound {
		return ""
	}
	return "checked"
}

// A workload may have a target for each URL and a status of its own; the
// address dialled may differ from the URL's host, which the server hears.
func TestTargetsStatusAndAddresses(t *testing.T) {
	onAll(t, func(t *testing.T, e Engine) {
		var mu sync.Mutex
		heard := map[string]int64{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			heard[r.Host+r.RequestURI]++
			mu.Unlock()
			if strings.HasSuffix(r.RequestURI, "0") {
				w.WriteHeader(http.StatusNotFound)
			}
			io.WriteString(w, "{}")
		}))
		defer server.Close()
		address := server.Listener.Addr().String()
		job := closedJob(4, 200*time.Millisecond, "http://one.invalid", "http://two.invalid:81")
		job.Dial, job.Workload = []string{address, address}, choosy{}
		sum := collect(t, e, job)
		mu.Lock()
		defer mu.Unlock()
		one, two := heard["one.invalid/url-0"], heard["two.invalid:81/url-1"]
		if len(heard) != 2 || one == 0 || two == 0 || sum.Books.OK != one || sum.Books.Bad != two || sum.Outcomes["status 200"] != two {
			t.Errorf("the server heard %v; books %+v, outcomes %v", heard, sum.Books, sum.Outcomes)
		}
	})
}

func TestCheck(t *testing.T) {
	good := openJob(4, 10, time.Second, "http://127.0.0.1:1")
	if err := good.Check(); err != nil {
		t.Errorf("a good job: %v", err)
	}
	for name, spoil := range map[string]func(*Job){
		"model":     func(j *Job) { j.Phase.Model = "half" },
		"rate":      func(j *Job) { j.Phase.Rate = 0 },
		"arrivals":  func(j *Job) { j.Phase.Arrivals = "never" },
		"method":    func(j *Job) { j.Method = "GE T" },
		"header":    func(j *Job) { j.Header = []Field{{"Host", "x"}} },
		"line":      func(j *Job) { j.Header = []Field{{"X", "a\r\nb"}} },
		"addresses": func(j *Job) { j.Dial = []string{"127.0.0.1:1", "127.0.0.1:2"} },
		"query":     func(j *Job) { j.URLs = []string{"http://127.0.0.1:1/?x"} },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Check(); err == nil {
			t.Errorf("%s: nothing is wrong", name)
		}
	}
}
