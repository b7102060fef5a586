package load

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bakeoff/internal/load/loadtest"
	"bakeoff/internal/stats"
)

// wantExamples checks that every error class has an example in words, with the address and the stage; answers and what
// the check says have none.
func wantExamples(t *testing.T, f fate, s *hostile, sum *total) {
	t.Helper()
	stages := map[string]string{
		"reset after the request": stageWaiting, "closed after the request": stageWaiting, "reset within the body": stageAnswering, "closed within the body": stageAnswering,
		"closed within the header": stageAnswering, "never answered": stageWaiting, "one byte at a time": stageAnswering, "a body too long": "more than 1048576 bytes",
	}
	for class, n := range sum.Outcomes {
		words := sum.Examples[class]
		answered := strings.HasPrefix(class, "status ") || class == "wrong body"
		if answered != (words == "") || !answered && !strings.Contains(words, s.listener.Addr().String()) {
			t.Errorf("%d times %s: %q", n, class, words)
		}
		if class == f.class && !strings.Contains(words, stages[f.name]) {
			t.Errorf("%s: %q, want %q", class, words, stages[f.name])
		}
	}
}

// What failed before there was a connection is distinguished, too.
func TestExamplesOfConnecting(t *testing.T) {
	t.Parallel()
	address := refusing(t)
	for name, engine := range engines {
		job := closedJob(1, 10*time.Second, "http://"+address)
		job.Phase.Requests = 2
		sum := collect(t, engine(), job)
		if got := sum.Examples[classRefused]; got != "connection refused by "+address {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Secrets of header and query are masked wherever a server repeats them.
func TestExamplesHoldNoSecrets(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, e Engine) {
		s := serverFor(t, e, &hostile{greet: func(_ *hostile, c peer) bool {
			var b [4096]byte
			n, _ := c.Read(b[:])
			request := strings.ReplaceAll(string(b[:n]), "\r\n", " ")
			io.WriteString(c, "HTTP/1.1 "+request+"\r\n\r\n")
			return false
		}})
		job := closedJob(1, 10*time.Second, s.url())
		job.Phase.Requests = 3
		job.Workload = oneThing{target: "/x?token=s3cretquery&a=1"}
		job.Header = []Field{{"Authorization", "Bearer s3cretheader"}, {"Cookie", "id=s3cretcookie"}}
		sum := collect(t, e, job)
		words := sum.Examples[classProtocol]
		if sum.Outcomes[classProtocol] == 0 || words == "" || strings.Contains(words, "s3cret") {
			t.Errorf("outcomes %v, %q", sum.Outcomes, words)
		}
	})
	job := Job{Header: []Field{{"Authorization", "Basic dXNlcjpwYXNz"}}, Workload: oneThing{target: "/?k=s3cretquery"}}
	r := &result{origin: &origin{address: "127.0.0.1:1"}}
	if got := job.masked("got \x1b[2Jdxx dXNlcjpwYXNz and s3cretquery, k=s3cretquery \u202e end", r); got != "got  [2Jdxx *** and ***, ***   end" {
		t.Errorf("%q", got)
	}
	job.Workload = oneThing{target: "/?k=s3cret%2Fquery+one"}
	if got := job.masked("got s3cret/query one, or s3cret%2Fquery+one", r); got != "got ***, or ***" {
		t.Errorf("%q", got)
	}
	if got := job.masked(strings.Repeat("ä", 1000), r); len(got) > exampleBytes+3 {
		t.Errorf("%d bytes", len(got))
	}
}

// Each way in which TLS fails has words of its own, and is the fault of the one who can repair it.
func TestTLSFailures(t *testing.T) {
	log.SetOutput(io.Discard)
	own, other := loadtest.NewAuthority(t), loadtest.NewAuthority(t)
	pair := func(until time.Time, names ...string) tls.Certificate {
		p, err := tls.LoadX509KeyPair(own.Issue(t, until, names...))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	soon := time.Now().Add(time.Hour)
	clientCert, clientKey := own.Issue(t, soon)
	usual := func(c *tls.Config) { c.Certificates = []tls.Certificate{pair(soon, "localhost")} }
	mutual := func(c *tls.Config) { usual(c); c.ClientAuth = tls.RequireAnyClientCert }
	for name, c := range map[string]struct {
		server func(c *tls.Config) // nil: it speaks no TLS
		client TLS
		two    bool
		class  string
		words  string // of the example; or, where the class is empty, nothing
	}{
		"trusted":                   {usual, TLS{CAFile: own.File}, false, "", ""},
		"insecure":                  {usual, TLS{Insecure: true}, false, "", ""},
		"under another name":        {usual, TLS{CAFile: own.File, ServerName: "localhost"}, false, "", ""},
		"with a certificate":        {mutual, TLS{CAFile: own.File, CertFile: clientCert, KeyFile: clientKey}, false, "", ""},
		"unknown authority":         {usual, TLS{}, false, classCertificate, "x509: certificate signed by unknown authority"},
		"another authority":         {usual, TLS{CAFile: other.File}, false, classCertificate, "x509: certificate signed by unknown authority"},
		"another name":              {usual, TLS{CAFile: own.File, ServerName: "example.org"}, false, classTLS, "x509: certificate is valid for localhost, not example.org"},
		"expired":                   {func(c *tls.Config) { c.Certificates = []tls.Certificate{pair(time.Now().Add(-time.Minute))} }, TLS{CAFile: own.File}, false, classTLS, "x509: certificate has expired"},
		"a certificate is required": {mutual, TLS{CAFile: own.File}, false, classCertificate, "tls: certificate required"},
		"required before TLS 1.3":   {func(c *tls.Config) { mutual(c); c.MaxVersion = tls.VersionTLS12 }, TLS{CAFile: own.File}, false, classTLS, "tls: handshake failure"},
		"an old version":            {func(c *tls.Config) { usual(c); c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 }, TLS{CAFile: own.File}, false, classTLS, "protocol version not supported"},
		"no HTTP/2":                 {usual, TLS{CAFile: own.File}, true, classTLS, "tls: no application protocol"},
		"no TLS":                    {nil, TLS{CAFile: own.File}, false, classTLS, "first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.FormValue("name")) }))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if c.server == nil {
				server.Start()
			} else {
				server.TLS = &tls.Config{}
				c.server(server.TLS)
				server.StartTLS()
			}
			defer server.Close()
			job := closedJob(1, 200*ms, "https://"+server.Listener.Addr().String())
			job.TLS, job.Phase.HTTP2 = c.client, c.two
			sum := collect(t, NewHTTP(), job)
			b := sum.Books
			if c.class == "" && (b.OK != b.Sent || b.OK == 0) || c.class != "" && sum.Outcomes[c.class] != b.Sent {
				t.Errorf("books %+v, outcomes %v, %v", b, sum.Outcomes, sum.Examples)
			}
			if !strings.Contains(sum.Examples[c.class], c.words) {
				t.Errorf("%q, want %q", sum.Examples[c.class], c.words)
			}
		})
	}
	for _, class := range Classes() {
		if class.Name == classCertificate && class.Fault != Ours || class.Name == classTLS && class.Fault != Theirs {
			t.Errorf("%+v", class)
		}
	}
}

// Files that cannot be used are named before anything is sent.
func TestTLSFiles(t *testing.T) {
	cert, key := loadtest.NewAuthority(t).Issue(t, time.Now().Add(time.Hour))
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tls  TLS
		want string
	}{
		"no file":         {TLS{CAFile: "/no/such"}, "/no/such"},
		"no PEM":          {TLS{CAFile: empty}, empty},
		"no key":          {TLS{CertFile: cert}, "needs its key"},
		"no certificate":  {TLS{KeyFile: key}, "needs its key"},
		"another's key":   {TLS{CertFile: cert, KeyFile: empty}, empty},
		"key as the cert": {TLS{CertFile: key, KeyFile: key}, key},
		"right":           {TLS{CertFile: cert, KeyFile: key, CAFile: cert}, ""},
	} {
		err := c.tls.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		job := closedJob(1, 30*ms, "https://127.0.0.1:1")
		job.TLS = c.tls
		if ran := NewHTTP().Run(t.Context(), job, func(stats.Window) {}); (ran == nil) != (err == nil) {
			t.Errorf("%s: the engine says %v", name, ran)
		}
	}
}
