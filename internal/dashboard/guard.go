package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// tokenKey is what carries the token in the address of the first visit.
const tokenKey = "token"

// policy lets a page use what this server sends, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// guard is who may ask for what. It is before everything else.
type guard struct {
	port     string
	loopback bool
	names    map[string]bool // by which the server may be called, in addition to addresses; in lower case
	token    string          // empty: none is needed
}

// quiet is for what a broken connection would say.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// before puts the guard before a handler.
func (g guard) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !g.called(r.Host):
			http.Error(w, "this server does not answer to that name", http.StatusMisdirectedRequest)
		case !reads(r) && !g.own(r.Header.Get("Origin")):
			http.Error(w, "only pages of this server may ask for that", http.StatusForbidden)
		case !reads(r):
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this server changes nothing", http.StatusMethodNotAllowed)
		case g.token != "":
			g.known(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// called reports whether a Host is this server. A page of another site that had its name resolve to this address still says
// that name. An address cannot be rebound: on another network than loopback each is right.
func (g guard) called(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	if port != g.port {
		return false
	}
	if at, err := netip.ParseAddr(name); err == nil {
		return !g.loopback || at.IsLoopback()
	}
	return g.names[strings.ToLower(name)]
}

// own reports whether an Origin is this server.
func (g guard) own(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == "http" && g.called(u.Host)
}

// known lets those through who have the cookie that they get for the token. The token does not stay in an address, which people
// share.
func (g guard) known(w http.ResponseWriter, r *http.Request, next http.Handler) {
	cookie := "bakeoff-" + g.port // cookies do not distinguish ports
	q := r.URL.Query()
	c, err := r.Cookie(cookie)
	passes := err == nil && same(c.Value, g.pass())
	switch {
	case passes && !q.Has(tokenKey):
		next.ServeHTTP(w, r)
		return
	case !passes && !same(q.Get(tokenKey), g.token):
		http.Error(w, "this server asks for the token of the address that bakeoff printed", http.StatusUnauthorized)
		return
	}
	q.Del(tokenKey)
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawQuery: q.Encode()}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: g.pass(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// pass is what the cookie holds: not the token itself.
func (g guard) pass() string {
	sum := sha256.Sum256([]byte("cookie of " + g.token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// same compares in a time that does not depend on where two texts differ, nor on their lengths.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
