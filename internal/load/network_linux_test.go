package load

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"bakeoff/internal/load/loadtest"
)

// A cable carries 1448 bytes of a request at a time, so that nginx's answer comes, and its end too, while most of a large
// body is still to be written. Each request is booked by the status that curl reads.
func TestEarlyAnswersOverACable(t *testing.T) {
	network := loadtest.NewNetwork(t)
	const requests = 40
	for name, c := range map[string]struct {
		server string
		status int
	}{
		"413, all is read":    {"client_max_body_size 1k;", http.StatusRequestEntityTooLarge},
		"413, little is read": {"client_max_body_size 1k; lingering_time 0;", http.StatusRequestEntityTooLarge},
		"200, all is read":    {"client_max_body_size 0;", http.StatusOK},
		"200, little is read": {"client_max_body_size 0; lingering_time 0; keepalive_requests 1;", http.StatusOK},
	} {
		nginx := loadtest.StartNginxWith(t, loadtest.NginxOptions{Server: c.server, Host: network.Far, Enter: network.Enter()})
		onPlain(t, func(t *testing.T, e Engine) {
			for _, size := range []int{1 << 20, 16 << 20} { // the second is more than sockets hold
				job := post(4, make([]byte, size), nginx.URL)
				job.Phase.Requests, job.Phase.Duration, job.Workload = requests, job.Phase.Timeout, oneThing{target: "/", body: "ok"}
				sum := collect(t, e, job)
				if b := sum.Books; b.Planned != requests || b.OK+b.Bad != requests || sum.Status[c.status] != requests {
					t.Errorf("%s, %d bytes: books %+v, statuses %v, outcomes %v, %v", name, size, b, sum.Status, sum.Outcomes, sum.Examples)
				}
			}
		})
		t.Run("curl/"+name, func(t *testing.T) {
			if read := curlReads(t, nginx.URL); read != fmt.Sprint(c.status) {
				t.Errorf("curl reads %q, want %d", read, c.status)
			}
		})
	}
}

// curlReads posts 1 MiB with curl and returns the status that it prints.
func curlReads(t *testing.T, url string) string {
	t.Helper()
	curl := loadtest.Find("curl")
	if curl == "" {
		t.Skip("SKIPPED: curl: apt-get install curl")
	}
	cmd := exec.CommandContext(t.Context(), curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "--data-binary", "@-", url)
	cmd.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
	out, _ := cmd.Output() // an end of the connection after the answer is not the subject
	return string(out)
}
