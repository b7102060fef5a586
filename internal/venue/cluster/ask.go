package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/platform"
	"bakeoff/internal/sidecar"
)

// askWithin is how long a sampler may take to answer.
const askWithin = 10 * time.Second

// samplers asks the samplers of pods.
type samplers struct {
	key    string // of all of the run
	client *http.Client
}

func newSamplers(key string) samplers {
	return samplers{key, &http.Client{Timeout: askWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}}}
}

// wanted is what a sampler is asked for in addition to the use of processor and memory.
type wanted struct {
	port   int  // whose connections; 0: none
	host   bool // the node
	sample bool // it is one of the samples each second; see sidecar.Serve
}

func (w wanted) query() string {
	q := url.Values{}
	if w.port > 0 {
		q.Set("port", strconv.Itoa(w.port))
	}
	if w.host {
		q.Set("host", "1")
	}
	if w.sample {
		q.Set("sample", "1")
	}
	return q.Encode()
}

// usage is what a pod uses.
func (s samplers) usage(ctx context.Context, p platform.Pod, w wanted) (out sidecar.Usage, err error) {
	err = s.ask(ctx, p, http.MethodGet, "/usage?"+w.query(), &out)
	return out, err
}

func (s samplers) clock(ctx context.Context, p platform.Pod) (out sidecar.Clock, err error) {
	err = s.ask(ctx, p, http.MethodGet, "/clock", &out)
	return out, err
}

func (s samplers) image(ctx context.Context, p platform.Pod) (out sidecar.Image, err error) {
	err = s.ask(ctx, p, http.MethodGet, "/image", &out)
	return out, err
}

// reload has the nginx of a pod replace its workers.
func (s samplers) reload(ctx context.Context, p platform.Pod) error {
	return s.ask(ctx, p, http.MethodPost, "/reload", &struct{}{})
}

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 4 << 20

func (s samplers) ask(ctx context.Context, p platform.Pod, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+at(p.Address(), samplerPort)+path, nil)
	if err != nil {
		return fmt.Errorf("sampler of %s: %w", p.Placement().Pod, err)
	}
	sidecar.Sign(request, s.key, p.Placement().UID)
	answer, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("sampler of %s: %w", p.Placement().Pod, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(body)))
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("sampler of %s: %w", p.Placement().Pod, err)
	}
	return nil
}
