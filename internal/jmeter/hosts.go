package jmeter

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"bakeoff/internal/consent"
)

// hostProperties hold the host that an element sends to, or a proxy or name server on the way there.
var hostProperties = []string{
	"HTTPSampler.domain", "HTTPSampler.proxyHost", "TCPSampler.server", "FTPSampler.server", "SMTPSampler.server", "servername", "host_name",
	"domain", "StaticHost.Address",
}

// closedProperties hold addresses of other forms, which are refused whatever they are, and files with further elements.
var closedProperties = []string{
	"dbUrl", "boltUri", "jms.provider_url", "MongoSourceElement.connection", "connection", "IncludeController.includepath",
}

// pathProperty may hold a whole URL, which JMeter then asks in the place of the domain.
const pathProperty = "HTTPSampler.path"

// senders are classes that send to servers of their own, by their short names.
var senders = []string{"BackendListener", "DNSCacheManager"}

// givenHost is the property that a plan gets, with or without another value for where it is not given.
var givenHost = regexp.MustCompile(`^\$\{__(P|property)\(host(,[^(){}]*)?\)\}$`)

// checkHosts refuses a test plan in which an element, enabled or not, names a host that is neither the property host nor
// allowed, or one that is not known before the plan runs.
func checkHosts(text []byte, allowed []string) error {
	dec := xml.NewDecoder(bytes.NewReader(text))
	element := "" // with a name, that the property is in
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if class := attribute(start, "testclass"); class != "" {
			element = fmt.Sprintf("%s %.60q", start.Name.Local, attribute(start, "testname"))
			if slices.Contains(senders, class[strings.LastIndex(class, ".")+1:]) {
				return fmt.Errorf("%s sends to other servers than the target, which is not allowed", element)
			}
		}
		name := attribute(start, "name")
		if start.Name.Local == "elementProp" || start.Name.Local == "collectionProp" {
			continue // what is in it has names of its own
		}
		if name != pathProperty && !slices.Contains(hostProperties, name) && !slices.Contains(closedProperties, name) {
			continue
		}
		var value string
		if err := dec.DecodeElement(&value, &start); err != nil {
			return err
		}
		if err := checkAddress(name, strings.TrimSpace(value), allowed); err != nil {
			return fmt.Errorf("%s: %s: %w", element, name, err)
		}
	}
}

func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// checkAddress refuses the value of one property.
func checkAddress(name, value string, allowed []string) error {
	switch lower := strings.ToLower(value); {
	case value == "" || givenHost.MatchString(value):
		return nil
	case slices.Contains(closedProperties, name):
		return fmt.Errorf("%.60q: where it leads is not checked, so it is not allowed", value)
	case name != pathProperty:
	case strings.HasPrefix(lower, "${"):
		return fmt.Errorf("%.60q: it may become a whole URL: begin it with /", value)
	case !strings.HasPrefix(lower, "http:") && !strings.HasPrefix(lower, "https:"):
		return nil
	default:
		value = hostOf(value)
		if givenHost.MatchString(value) {
			return nil
		}
	}
	if strings.Contains(value, "${") {
		return fmt.Errorf("%.60q is known only when the plan runs: write ${__P(host)}", value)
	}
	if err := consent.Host(value, allowed); err != nil {
		return fmt.Errorf("%w, or write ${__P(host)}", err)
	}
	return nil
}

// hostOf is the host in a URL, which may be JMeter's own ${...}.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Hostname()
	}
	_, rest, _ := strings.Cut(address, "://")
	if i := strings.Index(rest, "}"); strings.HasPrefix(rest, "${") && i > 0 && (len(rest) == i+1 || strings.ContainsRune(":/?", rune(rest[i+1]))) {
		return rest[:i+1]
	}
	return rest
}
