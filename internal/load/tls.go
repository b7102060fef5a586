package load

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS says how servers of https URLs are spoken to. Its files are PEM.
type TLS struct {
	Insecure   bool   `json:"insecure,omitempty"`    // any certificate of the server will do
	CAFile     string `json:"ca_file,omitempty"`     // authorities to trust, instead of the system's
	CertFile   string `json:"cert_file,omitempty"`   // a certificate to show, with its chain
	KeyFile    string `json:"key_file,omitempty"`    // its key
	ServerName string `json:"server_name,omitempty"` // asked for and verified, instead of the URL's host
}

// Check reads the files and says what is wrong with them, or nil.
func (t TLS) Check() error {
	_, err := t.config(nil)
	return err
}

// Config is what crypto/tls is given by anyone who asks the same servers without an engine.
func (t TLS) Config() (*tls.Config, error) { return t.config(nil) }

// config is what crypto/tls is given; it has no server's name yet where the URL's host is to be asked for.
func (t TLS) config(protocols []string) (*tls.Config, error) {
	c := &tls.Config{NextProtos: protocols, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("load: authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("load: authorities: %s contains no certificate in PEM", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, fmt.Errorf("load: a certificate needs its key, and a key its certificate")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load: certificate %s with key %s: %w", t.CertFile, t.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// secure gives each https origin its TLS configuration.
func (j *Job) secure(origins []origin) error {
	base, err := j.TLS.config(j.protocols())
	if err != nil {
		return err
	}
	for i := range origins {
		o := &origins[i]
		if !o.tls {
			continue
		}
		o.secrets = base.Clone()
		if o.secrets.ServerName == "" {
			o.secrets.ServerName = o.host
		}
	}
	return nil
}
