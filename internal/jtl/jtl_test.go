package jtl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/record"
	"bakeoff/internal/stats"
)

const header = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect\n"

// imported imports a text, and opens what was written.
func imported(t *testing.T, text string) (*record.Reader, Result) {
	t.Helper()
	out, err := Import(strings.NewReader(text), Options{File: "some.jtl", Root: t.TempDir(), Name: "some", Bakeoff: "0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Open(out.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, out
}

// TestImport reads a file as JMeter writes it, with its rows in the order in which the answers came.
func TestImport(t *testing.T) {
	text := header +
		"1795406016079,45,GET /demo,200,OK,load 1-1,text,true,,160,136,2,3,http://127.0.0.1:18080/demo?name=secret,40,0,28\n" +
		"1795406015900,1500,GET /demo,500,\"Internal\nServer Error\",load 1-2,text,false,,80,136,2,4,http://127.0.0.1:18080/demo,40,0,28\n" +
		"1795406018000,3,GET /demo,200,OK,load 1-1,text,false,Test failed: text expected,160,136,2,3,null,40,0,28\n" +
		"1795406018001,5001,GET /demo,Non HTTP response code: java.net.SocketTimeoutException,Read timed out,load 1-1,text,false,,0,136,2,3,null,40,0,28\n" +
		"1795406018002,2,GET /demo,Non HTTP response code: org.apache.http.conn.HttpHostConnectException,refused,load 1-1,text,false,,0,0,2,3,null,40,0,28\n" +
		"1795406016500,7,\"POST, /demo\",302,Found,load 1-1,text,true,,10,20,1,1,,4,0,2\n"
	r, out := imported(t, text)
	run := r.Run()
	if out.Rows != 6 || fmt.Sprint(out.Targets) != "[get-demo post-demo]" || run.Platform != record.PlatformImported || run.Status != record.Complete {
		t.Errorf("%+v, %s, %s", out, run.Platform, run.Status)
	}
	if one := run.Targets[0]; one.Title != "GET /demo" || one.URL != "http://127.0.0.1:18080/demo" || one.Kind != record.KindURL {
		t.Errorf("target %+v", one)
	}
	if began := time.UnixMilli(1795406015000).UTC(); !run.Started.Equal(began) || run.Machine.Cores != 0 || run.Database.Kind != "" {
		t.Errorf("started %v, %+v", run.Started, run.Machine)
	}
	for _, want := range []string{"6 rows", "one trial per target", "the machine", "intended"} {
		if !strings.Contains(strings.Join(run.Notes, "\n"), want) {
			t.Errorf("no note says %q: %q", want, run.Notes)
		}
	}
	first := r.Trials()[0]
	trial, err := first.Trial()
	if err != nil {
		t.Fatal(err)
	}
	p := trial.Phases[0]
	sum := stats.Totals{Sending: time.Duration(p.DurationS) * time.Second}
	var last stats.Window
	for line, err := range first.Loads() {
		if err != nil || line.Response != nil || line.Lateness != nil || line.Resources != nil || line.InFlight != nil {
			t.Fatalf("%v: %+v", err, line)
		}
		sum.Add(line.Window)
		last = line.Window
	}
	if last.Books != (stats.Books{Timeout: 1}) || last.Begin != 8*time.Second {
		t.Errorf("the last second has %+v", last)
	}
	if want := (stats.Books{Planned: 5, Sent: 5, OK: 1, Bad: 2, Timeout: 1, Error: 1}); sum.Books != want || sum.Exact() != nil {
		t.Errorf("books %+v", sum.Books)
	}
	want := map[string]int64{"status 500": 1, "failed assertion": 1, "timeout": 1, "HttpHostConnectException": 1}
	if fmt.Sprint(sum.Outcomes) != fmt.Sprint(want) || sum.Status[200] != 2 || sum.Status[500] != 1 {
		t.Errorf("outcomes %v, %v", sum.Outcomes, sum.Status)
	}
	if sum.Service.Count() != 4 || sum.Service.Over() != 1 || sum.BadService.Count() != 2 || sum.Received != 400 || sum.Written != 4*136 {
		t.Errorf("%d times, %d of bad answers, %d and %d bytes", sum.Service.Count(), sum.BadService.Count(), sum.Received, sum.Written)
	}
	// From the second of 015.900 up to that of 018.002; the timeout ends at 023.
	if p.DurationS != 4 || p.Connections != 4 || p.Model != "closed" || !p.Unjudged || p.Ended.Sub(p.Started) != 9*time.Second || sum.Windows != 9 {
		t.Errorf("phase %+v, %d windows", p, sum.Windows)
	}
}

// TestDelimiters reads what other settings of JMeter's write.
func TestDelimiters(t *testing.T) {
	for _, delimiter := range []string{",", ";", "\t", "|"} {
		text := "\xef\xbb\xbf" + strings.ReplaceAll("timeStamp,elapsed,label,responseCode,success\n1795406016079,45,a b,200,true\n", ",", delimiter)
		if _, out := imported(t, text); out.Rows != 1 || out.Targets[0] != "a-b" {
			t.Errorf("%q: %+v", delimiter, out)
		}
	}
}

// TestNames has labels that look alike as names be targets of their own.
func TestNames(t *testing.T) {
	text := "timeStamp,elapsed,label,responseCode,success\n"
	for _, label := range []string{"GET /a", "get-a", "???", strings.Repeat("long ", 30), "naïve"} {
		text += "1795406016079,45," + label + ",200,true\n"
	}
	_, out := imported(t, text)
	want := "[get-a get-a-2 unnamed " + strings.TrimSuffix(strings.Repeat("long-", 11), "-") + " na-ve]"
	if got := fmt.Sprint(out.Targets); got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestRefused names file, line and what is wrong; nothing is written.
func TestRefused(t *testing.T) {
	const short = "timeStamp,elapsed,label,responseCode,success,SampleCount\n"
	const row = "1795406016079,45,a,200,true,1\n"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":          {"", "some.jtl:1: the file is empty"},
		"a header alone":   {short, "some.jtl has no rows"},
		"XML":              {"<?xml version=\"1.0\"?>\n<testResults version=\"1.2\">", "some.jtl:1: is XML, which is not read"},
		"no header":        {row, "some.jtl:1: the header has no column timeStamp"},
		"a column less":    {"timeStamp,elapsed,label,responseCode\n", "no column success"},
		"a second header":  {short + row + short + row, "some.jtl:3: a second header"},
		"a short row":      {short + row + "1795406016079,45\n", "some.jtl:3: the row has 2 fields, the header has 6"},
		"a time as text":   {short + "2026/11/23 06:00:00,45,a,200,true,1\n", `some.jtl:2: timeStamp is "2026/11/23 06:00:00"`},
		"a negative time":  {short + "1795406016079,-1,a,200,true,1\n", `some.jtl:2: elapsed is "-1"`},
		"a long time":      {short + "1795406016079,86400001,a,200,true,1\n", "some.jtl:2: elapsed"},
		"neither":          {short + "1795406016079,1,a,200,yes,1\n", `some.jtl:2: success is "yes"`},
		"several requests": {short + row + "1795406016079,1,a,200,true,100\n", "some.jtl:3: the row stands for 100 requests"},
		"no rows at all":   {strings.Repeat("\x00", mostRow+1<<20), "some.jtl:1: a row is longer than 4 MiB"},
		"an open quote":    {short + row + "1795406016079,45,\"" + strings.Repeat("a\n", mostRow), "some.jtl:3: a row is longer than 4 MiB"},
		"a long gap":       {short + row + "1895406016079,1,a,200,true,1\n", "some.jtl: the labels cover more than 200000 seconds together"},
		"two long gaps": {
			short + row + "1795526016079,1,a,200,true,1\n" + "1795406016079,45,b,200,true,1\n" + "1795486016079,1,b,200,true,1\n", // 120,001 s and 80,001 s
			"some.jtl: the labels cover more than 200000 seconds together",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			out, err := Import(strings.NewReader(c.text), Options{File: "some.jtl", Root: root, Name: "some"})
			if err == nil || !strings.Contains(err.Error(), c.want) || out.Dir != "" {
				t.Errorf("%+v, %v; want %q", out, err, c.want)
			}
		})
	}
	many := short
	for i := range mostLabels + 1 {
		many += fmt.Sprintf("1795406016079,45,%d,200,true,1\n", i)
	}
	if _, err := Import(strings.NewReader(many), Options{File: "some.jtl", Root: t.TempDir(), Name: "some"}); err == nil || !strings.Contains(err.Error(), "more than 100 labels") {
		t.Errorf("%v", err)
	}
}
