package load

import (
	"fmt"

	"bakeoff/internal/splitmix"
)

// A spread says which URL a request asks for, and which connections may carry
// it: URLs of one server share theirs. It is a pure function of the request's number, so
// that each URL gets its share of any whole plan, however few connections there are.
type spread struct {
	origins []origin
	servers []int   // of each server the first origin
	order   []int   // of servers: every server once, then again by its further URLs
	urls    [][]int // of each server
}

// newSpread groups the origins by the servers that connections are made to.
func newSpread(origins []origin) *spread {
	s := &spread{origins: origins}
	known := map[string]int{}
	var further []int
	for i := range origins {
		o := &origins[i]
		key := "http " + o.address
		if o.tls { // there the name is asked for when connecting
			key = "https " + o.address + " " + o.host
		}
		server, seen := known[key]
		if !seen {
			server = len(s.servers)
			known[key] = server
			s.servers, s.order, s.urls = append(s.servers, i), append(s.order, server), append(s.urls, nil)
		} else {
			further = append(further, server)
		}
		o.server = server
		s.urls[server] = append(s.urls[server], i)
	}
	s.order = append(s.order, further...)
	return s
}

// check refuses phases whose connections cannot reach every server.
func (s *spread) check(p Phase, share Share) error {
	least := len(s.servers)
	if p.Model == Open {
		least *= share.Of // each agent's arrivals ask for all of them
	}
	if p.Connections < least && least > 1 {
		return fmt.Errorf("load: %d connections cannot reach %d servers from %d agents: at least %d are needed", p.Connections, len(s.servers), share.Of, least)
	}
	return nil
}

// open is the URL of arrival n of the whole: each of as many arrivals as there are URLs asks for
// another one, in an order of its own, so that no agent's share is one of the URLs.
func (s *spread) open(n uint64) int {
	urls := uint64(len(s.origins))
	if urls == 1 {
		return 0
	}
	return int((n%urls + splitmix.Mix(n/urls)%urls) % urls)
}

// closed is the URL of request n of a connection, which goes to one server: that server's, in turn.
func (s *spread) closed(server, connection int, n uint64) int {
	own := s.urls[server]
	return own[(n+uint64(connection))%uint64(len(own))]
}

// serverOf is where a connection of the whole goes. In the open model each agent reaches every server.
func (s *spread) serverOf(connection int, model string, share Share) int {
	if model == Open {
		connection /= share.Of
	}
	return s.order[connection%len(s.order)]
}
