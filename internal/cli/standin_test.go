package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// A standIn is a controller of the Ingresses of one class, and of the HTTPRoutes of one Gateway: it takes requests on an address of this
// machine, and gives each to the next endpoint of the service that the host leads to. It publishes what a controller would.
type standIn struct {
	t       *testing.T
	class   string       // that it serves
	gateway string       // likewise
	ip      string       // at which it is reached
	publish bool         // the address in the status of Ingresses
	cookie  string       // that it sets with every answer; empty: none
	http    *http.Client // of the API
	api     string
	kept    *http.Transport // connections to endpoints, which stay open between requests

	mu    sync.Mutex
	pools map[string]*pool // by host
	taken map[string]int64 // requests, by host
}

// pool is the endpoints of a service.
type pool struct {
	at   []string
	next atomic.Uint64
}

// led is an Ingress or an HTTPRoute, as far as it leads somewhere.
type led struct {
	Metadata struct {
		Name, Namespace string
		Generation      int64
	}
	Spec struct {
		IngressClassName string
		ParentRefs       []map[string]any
		Hostnames        []string
		Rules            []struct {
			Host        string
			BackendRefs []struct{ Name string }
			HTTP        struct {
				Paths []struct {
					Backend struct{ Service struct{ Name string } }
				}
			}
		}
	}
}

// newStandIn serves at an address of this machine that the cluster reaches, until the test ends; port 0 is any.
func newStandIn(t *testing.T, class, gateway string, port int) (s *standIn, address string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", clientcmd.NewDefaultClientConfigLoadingRules().GetDefaultFilename())
	if err != nil {
		t.Fatal(err)
	}
	s = &standIn{t: t, class: class, gateway: gateway, api: strings.TrimSuffix(config.Host, "/"), pools: map[string]*pool{}, taken: map[string]int64{}}
	s.kept = &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	if s.http, err = rest.HTTPClientFor(config); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	probe, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	s.ip = probe.LocalAddr().(*net.TCPAddr).IP.String()
	probe.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort(s.ip, strconv.Itoa(port)))
	if err != nil {
		t.Skipf("SKIPPED: a stand-in cannot listen at %s, port %d: %v", s.ip, port, err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	all.Go(func() { _ = server.Serve(listener) }) // until it is closed
	all.Go(func() { s.follow(ctx) })
	t.Cleanup(func() { stop(); server.Close(); all.Wait(); s.kept.CloseIdleConnections() })
	return s, listener.Addr().String()
}

// ServeHTTP implements http.Handler.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	s.mu.Lock()
	to := s.pools[host]
	s.taken[host]++
	s.mu.Unlock()
	if to == nil || len(to.at) == 0 {
		http.Error(w, "nothing leads there", http.StatusNotFound)
		return
	}
	at := to.at[(to.next.Add(1)-1)%uint64(len(to.at))]
	if s.cookie != "" {
		w.Header().Set("Set-Cookie", s.cookie+"="+at)
	}
	(&httputil.ReverseProxy{Transport: s.kept, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host, p.Out.URL.RawQuery = "http", at, p.In.Host, p.In.URL.RawQuery
	}}).ServeHTTP(w, r)
}

// follow looks at what there is four times a second.
func (s *standIn) follow(ctx context.Context) {
	for ctx.Err() == nil {
		s.look(ctx, "/apis/networking.k8s.io/v1/ingresses", s.ingress)
		s.look(ctx, "/apis/gateway.networking.k8s.io/v1/httproutes", s.route)
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// look calls each with every object of a kind.
func (s *standIn) look(ctx context.Context, kind string, each func(context.Context, led)) {
	var all struct{ Items []led }
	if s.ask(ctx, http.MethodGet, kind, nil, &all) == nil { // a cluster may not know the kind
		for _, one := range all.Items {
			each(ctx, one)
		}
	}
}

func (s *standIn) ingress(ctx context.Context, i led) {
	if i.Spec.IngressClassName != s.class || s.class == "" {
		return
	}
	for _, rule := range i.Spec.Rules {
		s.lead(ctx, i, rule.Host, rule.HTTP.Paths[0].Backend.Service.Name)
	}
	if s.publish {
		s.say(ctx, "/apis/networking.k8s.io/v1", "ingresses", i, map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": s.ip}}}})
	}
}

func (s *standIn) route(ctx context.Context, r led) {
	if s.gateway == "" || r.Spec.ParentRefs[0]["name"] != s.gateway {
		return
	}
	s.lead(ctx, r, r.Spec.Hostnames[0], r.Spec.Rules[0].BackendRefs[0].Name)
	var conditions []any
	for _, kind := range []string{"Accepted", "ResolvedRefs"} {
		conditions = append(conditions, map[string]any{
			"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": r.Metadata.Generation, "lastTransitionTime": "2026-11-28T12:00:00Z",
		})
	}
	parent := map[string]any{"parentRef": r.Spec.ParentRefs[0], "controllerName": "bakeoff.example/stand-in", "conditions": conditions}
	s.say(ctx, "/apis/gateway.networking.k8s.io/v1", "httproutes", r, map[string]any{"parents": []any{parent}})
}

// lead has a host lead to the endpoints of a service as they are now.
func (s *standIn) lead(ctx context.Context, from led, host, service string) {
	var all struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Conditions struct{ Ready *bool }
			}
			Ports []struct{ Port int }
		}
	}
	at := "/apis/discovery.k8s.io/v1/namespaces/" + from.Metadata.Namespace + "/endpointslices?labelSelector=" + url.QueryEscape("kubernetes.io/service-name="+service)
	if err := s.ask(ctx, http.MethodGet, at, nil, &all); err != nil {
		return // it is asked again
	}
	var now []string
	for _, slice := range all.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				now = append(now, net.JoinHostPort(e.Addresses[0], strconv.Itoa(slice.Ports[0].Port)))
			}
		}
	}
	slices.Sort(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.pools[host]; was == nil || !slices.Equal(was.at, now) {
		s.pools[host] = &pool{at: now}
	}
}

// say writes the status of an object.
func (s *standIn) say(ctx context.Context, group, plural string, of led, status map[string]any) {
	at := fmt.Sprintf("%s/namespaces/%s/%s/%s/status", group, of.Metadata.Namespace, plural, of.Metadata.Name)
	if err := s.ask(ctx, http.MethodPatch, at, map[string]any{"status": status}, nil); err != nil && ctx.Err() == nil {
		s.t.Logf("stand-in: %v", err) // the object may be gone
	}
}

func (s *standIn) ask(ctx context.Context, method, at string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.api+at, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/merge-patch+json")
	answer, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, at, text)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(text, into)
}
