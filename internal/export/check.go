package export

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Checked is what a collector lacks for a run to be written to it, and what it does not let anybody know.
type Checked struct {
	Missing []string
	Unknown []string
}

func (c *Checked) missing(format string, args ...any) {
	c.Missing = append(c.Missing, fmt.Sprintf(format, args...))
}

func (c *Checked) unknown(format string, args ...any) {
	c.Unknown = append(c.Unknown, fmt.Sprintf(format, args...))
}

// Check asks an InfluxDB whether a run can be written to it. Of version 2 the bucket has to exist, and a database has to be
// mapped onto it, or InfluxQL, in which dashboards ask, does not find it. The database of version 1 is made. It changes nothing.
func (i Influx) Check(ctx context.Context) (out Checked, err error) {
	s, err := i.connect()
	if err != nil {
		return out, err
	}
	if err := s.identify(ctx); err != nil {
		out.missing("%s does not answer: %v", s.name(), err)
		return out, nil
	}
	if i.Bucket == "" {
		return out, nil
	}
	id := s.bucket(ctx, &out)
	if id != "" {
		s.mapping(ctx, id, &out)
	}
	return out, nil
}

// bucket is the id of the bucket; empty where it is not there or not known.
func (s *server) bucket(ctx context.Context, out *Checked) string {
	var list struct {
		Buckets []struct{ ID, Name string }
	}
	status, err := s.get(ctx, "/api/v2/buckets?"+url.Values{"name": {s.Bucket}, "org": {s.Org}}.Encode(), &list)
	at := slices.IndexFunc(list.Buckets, func(b struct{ ID, Name string }) bool { return b.Name == s.Bucket })
	switch {
	case err == nil && at >= 0:
		return list.Buckets[at].ID
	case err == nil, status == http.StatusNotFound:
		out.missing("%s has no bucket %q in the organisation %q: influx bucket create --name %q --org %q", s.name(), s.Bucket, s.Org, s.Bucket, s.Org)
	default:
		out.unknown("%s does not say whether there is a bucket %q: %v", s.name(), s.Bucket, err)
	}
	return ""
}

// mapping looks for a database that is mapped onto the bucket.
func (s *server) mapping(ctx context.Context, id string, out *Checked) {
	var list struct {
		Content []struct {
			BucketID string `json:"bucketID"`
			Database string `json:"database"`
		}
	}
	_, err := s.get(ctx, "/api/v2/dbrps?"+url.Values{"org": {s.Org}, "bucketID": {id}}.Encode(), &list)
	if err != nil {
		out.unknown("%s does not say which databases are mapped onto the bucket %q: %v", s.name(), s.Bucket, err)
		return
	}
	for _, m := range list.Content {
		if m.BucketID == id && m.Database != "" {
			return
		}
	}
	out.missing("%s has no database mapped onto the bucket %q (DBRP), so InfluxQL and the dashboards do not find it: "+
		"influx v1 dbrp create --bucket-id %s --db %q --rp autogen --default --org %q", s.name(), s.Bucket, id, s.Bucket, s.Org)
}

// get asks for JSON; the error of an answer without success says its status, which is 0 where there was none.
func (s *server) get(ctx context.Context, path string, into any) (status int, err error) {
	res, body, err := s.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, later(res, body)
	}
	return res.StatusCode, json.Unmarshal(body, into)
}

// Check sends an OTLP server a request without any metric, which it has to take.
func (o OTLP) Check(ctx context.Context) (out Checked, err error) {
	t, _, err := o.open()
	if err != nil {
		return out, err
	}
	if err := t.(*receiver).export(ctx, nil); err != nil {
		out.missing("%s takes no metrics: %v", t.name(), err)
	}
	return out, nil
}
