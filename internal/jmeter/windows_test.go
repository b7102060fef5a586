package jmeter

import (
	"testing"
	"time"

	"bakeoff/internal/load"
	"bakeoff/internal/stats"
)

// at is a row of request n, sent so long after the first.
func at(n uint64, sent, took time.Duration, code string) row {
	return row{at: time.UnixMilli(1e12).Add(sent), elapsed: took, code: code, ok: code == "200", number: n, numbered: true, samples: 1, captures: []string{"warm", "1", "true"}, received: 10, written: 5}
}

// Each event counts in the second it happens in; rows that come late count in the first second that is open; what the
// open model planned and did not send is dropped, however late that is noticed.
func TestWindows(t *testing.T) {
	p := load.Phase{Number: 1, Model: load.Open, Rate: 6, Duration: 2 * time.Second, Timeout: time.Second, CheckShare: 1}
	var got []stats.Window
	a := newAgent(0, 2, p, always{}, func(w stats.Window) { got = append(got, w) })
	a.add(at(0, 0, 10*time.Millisecond, "200"))
	a.add(at(2, 900*time.Millisecond, 300*time.Millisecond, "200")) // answered in the next second
	a.add(at(4, 1500*time.Millisecond, time.Second, "Non HTTP response code: java.net.SocketTimeoutException"))
	a.advance(time.UnixMilli(1e12).Add(5 * time.Second))
	if len(got) != 2 || got[0].Books != (stats.Books{Planned: 2, Sent: 2, OK: 1}) || got[1].Books != (stats.Books{Planned: 1, Sent: 1, OK: 1}) {
		t.Fatalf("%+v", got)
	}
	a.add(at(6, 100*time.Millisecond, time.Millisecond, "500")) // comes late
	a.advance(time.UnixMilli(1e12).Add(9 * time.Second))
	a.finish()
	var sum stats.Totals
	for i, w := range got {
		if w.Begin != time.Duration(i)*time.Second || w.Response != nil || w.Lateness != nil {
			t.Errorf("window %d: %+v", i, w)
		}
		sum.Add(w)
	}
	if want := (stats.Books{Planned: 6, Sent: 4, Dropped: 2, OK: 2, Bad: 1, Timeout: 1}); sum.Books != want {
		t.Errorf("%+v, want %+v", sum.Books, want)
	}
	if sum.Outcomes["status 500"] != 1 || sum.Outcomes["timeout"] != 1 || sum.Service.Count() != 4 || sum.Service.Over() != 1 || sum.BadService.Count() != 1 || sum.ErrorTime != 1 {
		t.Errorf("%+v", sum.Window)
	}
	if sum.Received != 40 || sum.Written != 20 || sum.Hits != 3 || sum.Checked != 3 {
		t.Errorf("%+v", sum.Window)
	}
}

// What an answer says is compared with what is right for its request, whatever JMeter thought of it.
func TestWrongAnswersAreNamed(t *testing.T) {
	p := load.Phase{Number: 1, Model: load.Closed, Connections: 1, Duration: time.Second, Timeout: time.Second, CheckShare: 1}
	for want, change := range map[string]func(*row){
		"wrong answer":    func(r *row) { r.captures = []string{"warm", "2", "true"} },
		"wrong body":      func(r *row) { r.ok = false },
		"status 404":      func(r *row) { r.code = "404" },
		"unknown request": func(r *row) { r.numbered = false },
		"refused": func(r *row) {
			r.code, r.message = "Non HTTP response code: org.apache.http.conn.HttpHostConnectException", "Connection refused"
		},
		"reset": func(r *row) {
			r.code, r.message = "Non HTTP response code: java.net.SocketException", "Connection reset"
		},
		"closed":           func(r *row) { r.code = "Non HTTP response code: org.apache.http.NoHttpResponseException" },
		"interrupted":      func(r *row) { r.code = "Non HTTP response code: java.io.InterruptedIOException" },
		"UnknownException": func(r *row) { r.code = "Non HTTP response code: x.UnknownException" },
	} {
		var sum stats.Totals
		a := newAgent(0, 1, p, always{}, func(w stats.Window) { sum.Add(w) })
		r := at(0, 0, time.Millisecond, "200")
		change(&r)
		a.add(r)
		a.finish()
		if sum.Outcomes[want] != 1 || sum.Books.OK != 0 || sum.Exact() != nil {
			t.Errorf("%s: %v, %+v", want, sum.Outcomes, sum.Books)
		}
	}
}

func TestShares(t *testing.T) {
	for servers := 1; servers <= 4; servers++ {
		sum := 0
		p := load.Phase{Number: 2, Model: load.Open, Connections: 7, Rate: 100, Duration: time.Second}
		seen := map[uint64]bool{}
		for k := range servers {
			sum += threads(p, k, servers)
			for i := range uint64(10) {
				n := number(p, k, servers, i)
				if seen[n] {
					t.Errorf("%d servers: request %d of the open model is asked for twice", servers, n)
				}
				seen[n] = true
			}
		}
		if sum != 7 {
			t.Errorf("%d servers have %d of 7 connections", servers, sum)
		}
	}
	if stream(load.Phase{Number: 3, Model: load.Closed}, 1) != 3<<32|2 {
		t.Error("server 1 has another stream than connection 1")
	}
}
