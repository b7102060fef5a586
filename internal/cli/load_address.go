package cli

import (
	"context"
	"errors"

	"bakeoff/internal/consent"
	"bakeoff/internal/endpoint"
)

const urlHint = "a URL is such as http://127.0.0.1:8080/path?query, and {key} in it takes keys of --keys"

// aimAt checks a URL and finds the one address that its connections are made to.
func aimAt(ctx context.Context, r consent.Resolver, raw string, allowed []string) (endpoint.Endpoint, error) {
	e, err := endpoint.At(ctx, r, raw, allowed)
	if invalid, ok := errors.AsType[*endpoint.InvalidError](err); ok {
		return e, misused(urlHint, "%w", invalid)
	}
	if no, ok := errors.AsType[*consent.RefusedError](err); ok {
		return e, refused(no.Host, no.Err, allowed)
	}
	return e, err
}

// refused words why load may not go to a host: for want of consent, which can
// be given, or always.
func refused(host string, err error, allowed []string) error {
	if consent.Host(host, append(allowed[:len(allowed):len(allowed)], host)) == nil && consent.Host(host, allowed) != nil {
		return misused("add --allow-host "+host+" if the server is yours to load", "%s is not on this machine: nothing is sent there unasked", host)
	}
	return misused("no flag changes this", "%s: %w", host, err)
}
