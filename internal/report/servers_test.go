package report

import (
	"strings"
	"testing"

	"bakeoff/internal/record/recordtest"
)

// A report of running servers says what was asked, and speaks of nothing that there was not.
func TestServers(t *testing.T) {
	s := build(t, recordtest.Servers(t, "127.0.0.1:8080", "[::1]:8081"))
	text := asText(t, s)
	golden(t, "servers.txt", []byte(text))
	asMarkdown(t, s)
	lower := strings.ToLower(text)
	for _, no := range []string{"database", "balancer", "rows", "hit ratio", "replica", "workers", "protocol", "recipe", "table", "statements"} {
		if strings.Contains(lower, no) {
			t.Errorf("it speaks of %q", no)
		}
	}
}
