package contract

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"bakeoff/internal/stats"
)

// identify looks at what an answer says of who gave it, where the replicas have names to say, and at the cookies that it sets. Refusals
// are not looked at: a server, and what is before it, may give one without asking the application.
func (s *inspection) identify(at Endpoint, a answer) {
	if names := s.saying(at); len(names) > 0 && a.status == http.StatusOK {
		s.findings.enter("replica", at, unnamed(names, a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	which := 0
	if at.Name == "" {
		which = 1
	}
	for _, line := range a.header.Values("Set-Cookie") {
		name, _, _ := strings.Cut(line, "=")
		s.cookies[which][strings.TrimSpace(name)] = true
	}
}

// saying are the names that an endpoint's answers may carry; none: nothing is demanded.
func (s *inspection) saying(at Endpoint) []string {
	if at.Name != "" {
		return slices.DeleteFunc([]string{at.Says}, func(name string) bool { return name == "" })
	}
	var out []string
	for _, replica := range s.replicas {
		if replica.Says != "" {
			out = append(out, replica.Says)
		}
	}
	return out
}

// unnamed says what is wrong with the name of who gave an answer, or "".
func unnamed(names []string, a answer) string {
	given := a.header.Values(stats.ReplicaHeader)
	if len(given) == 1 && slices.Contains(names, given[0]) {
		return ""
	}
	return fmt.Sprintf("expected %s %q, the text of BAKEOFF_REPLICA, got %q", stats.ReplicaHeader, strings.Join(names, `" or "`), given)
}

// balancerCookies are the names of cookies that only answers through the balancer set.
func (s *inspection) balancerCookies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.cookies[1])), func(name string) bool { return s.cookies[0][name] })
}
