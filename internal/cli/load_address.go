package cli

import (
	"context"
	"errors"
	"path/filepath"

	"bakeoff/internal/consent"
	"bakeoff/internal/endpoint"
)

const urlHint = "example: http://127.0.0.1:8080/path?query; {key} in it is replaced by keys of --keys"

// aimAt checks a URL and finds where its connections are made to.
func aimAt(ctx context.Context, r consent.Resolver, raw string, route endpoint.Route) ([]endpoint.Endpoint, error) {
	e, err := route.Find(ctx, r, raw)
	if invalid, ok := errors.AsType[*endpoint.InvalidError](err); ok {
		return e, misused(urlHint, "%w", invalid)
	}
	if no, ok := errors.AsType[*consent.RefusedError](err); ok {
		return e, refused(no.Host, no.Err, route.Allowed)
	}
	return e, err
}

// route is how the flags say that servers are found.
func (f *loadFlags) route() (endpoint.Route, error) {
	r := endpoint.Route{Allowed: f.allow, All: f.allAddresses}
	for _, name := range f.allow {
		if err := consent.Allowable(name); err != nil {
			return r, misused("--allow-host takes a name or an address, without scheme and port", "--allow-host: %w", err)
		}
	}
	for _, text := range f.connectTo {
		to, err := endpoint.ParseRedirect(text)
		if err != nil {
			return r, misused("such as --connect-to www.example.org:443:127.0.0.1:8443; an empty part means any, or as before", "--connect-to %w", err)
		}
		r.To = append(r.To, to)
	}
	if f.unix == "" {
		return r, nil
	}
	if r.All || len(r.To) > 0 {
		return r, misused("leave --connect-to and --all-addresses out", "--unix connects everything to one socket")
	}
	path, err := filepath.Abs(f.unix)
	if err == nil {
		err = endpoint.CheckSocket(path)
	}
	if err != nil {
		return r, misused("--unix is the path of a socket that a server listens on", "--unix: %w", err)
	}
	r.Unix = path
	return r, nil
}

// refused words why load may not go to a host: for want of consent, which can
// be given, or always.
func refused(host string, err error, allowed []string) error {
	if consent.Host(host, append(allowed[:len(allowed):len(allowed)], host)) == nil && consent.Host(host, allowed) != nil {
		return misused("add --allow-host "+host+" if you may load that server", "refusing to send load to %s: it is not this machine", host)
	}
	return misused("no flag changes this", "%s: %w", host, err)
}
