package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/consent"
	"bakeoff/internal/plan"
	"bakeoff/internal/show"
	"bakeoff/internal/stats"
	"bakeoff/internal/venue"
)

const (
	// answersWithin is how long what the cluster puts before the replicas may take until it gives right answers.
	answersWithin = time.Minute
	// meetsWithin is how long it may take until it was seen to reach every replica: after that the shares show what it does.
	meetsWithin = 10 * time.Second
	// rightInRow is how many answers in a row have to be right: some give right ones before all of their parts know the replicas.
	rightInRow = 3
	// askFront is the time between two requests.
	askFront = 20 * time.Millisecond
)

// behind finds what the cluster puts before the replicas, and waits until it answers as they do.
func (d *deployed) behind(ctx context.Context, of venue.Deployment) error {
	given, err := d.venue.cluster.Front(ctx, targetName(d.target))
	if err != nil {
		return err // it names the target
	}
	if of.Balancer.Kind == plan.BalancerService {
		d.urls = []string{"http://" + at(given, targetPort)}
		return d.answers(ctx, of, at(given, targetPort), at(given, targetPort))
	}
	address, err := d.venue.allowed(ctx, of.Balancer, given)
	if err != nil {
		return fmt.Errorf("balancer of %s: %w", d.target, err)
	}
	host := of.Balancer.HostOf(d.target)
	d.urls, d.dial = []string{"http://" + host}, []string{address}
	return d.answers(ctx, of, host, address)
}

// allowed is an address that is given with or without a port, looked up once. Others use what listens there, too, so the plan has to name
// it, as its balancer's or among the hosts that it allows.
func (v *Venue) allowed(ctx context.Context, b plan.Balancer, given string) (string, error) {
	host, port := plan.SplitAddress(given)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", fmt.Errorf("port %s of %s: %w", port, given, err)
	}
	allowed := v.b.o.Plan.AllowHosts
	if b.Address != "" {
		allowed = append(slices.Clone(allowed), host)
	}
	found, err := consent.Lookup(ctx, net.DefaultResolver, host, uint16(number), allowed)
	var refused *consent.RefusedError
	if errors.As(err, &refused) {
		return "", fmt.Errorf("its address %s was not named by the plan: set balancer.address to it, or add it to allow_hosts: %w", host, refused.Err)
	}
	if err != nil {
		return "", fmt.Errorf("its address: %w", err)
	}
	return netip.AddrPortFrom(found, uint16(number)).String(), nil
}

// answers waits until the front answers as a replica of this start does, over a new connection each time, and has been seen to reach all.
func (d *deployed) answers(ctx context.Context, of venue.Deployment, host, address string) error {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	missing := map[string]bool{}
	for _, r := range d.replicas {
		missing[r.started.Pod] = true
	}
	last, began := "it was not asked", time.Now()
	for right := 0; right < rightInRow || len(missing) > 0 && time.Since(began) < meetsWithin; {
		who, wrong := askPing(ctx, host, address, of.Nonce)
		delete(missing, who)
		if right++; wrong != "" {
			right = 0
		}
		if wrong != "" && ctx.Err() == nil {
			last = wrong
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("balancer of %s: the %s at %s gives no right answer for host %s after %s: %s", d.target, of.Balancer.Kind, address, host, show.Duration(answersWithin), last)
		case <-time.After(askFront):
		}
	}
	return nil
}

// askPing asks for /ping over a connection of its own. It returns which replica says that it has answered, and what is wrong with the
// answer.
func askPing(ctx context.Context, host, address, nonce string) (who, wrong string) {
	dialer := net.Dialer{Timeout: askWithin}
	client := http.Client{
		Timeout: askWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/ping", nil)
	if err != nil {
		return "", err.Error()
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	who = answer.Header.Get(stats.ReplicaHeader)
	switch {
	case err != nil:
		return "", err.Error()
	case answer.StatusCode != http.StatusOK || strings.TrimSuffix(string(body), "\n") != nonce:
		return "", fmt.Sprintf("%s, %s", answer.Status, show.Excerpt(string(body), 80))
	case who == "":
		return "", "an answer does not say in " + stats.ReplicaHeader + " which replica gave it (docs/targets.md)"
	}
	return who, ""
}
