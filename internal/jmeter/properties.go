package jmeter

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	keystoreFile   = "rmi_keystore.p12"
	passwordFile   = "password"
	propertiesFile = "bakeoff.properties"
)

// properties are those of master and servers alike, in the order of the file. Whatever JMETER_HOME says of them, these hold.
func properties(keystore, password string, captures []string) []pair {
	variables := append(append([]string{numberColumn}, captures...), replicaColumn)
	out := []pair{
		{"server.rmi.ssl.disable", "false"},
		{"server.rmi.ssl.keystore.file", keystore},
		{"server.rmi.ssl.keystore.type", "PKCS12"},
		{"server.rmi.ssl.keystore.password", password},
		{"server.rmi.ssl.keystore.alias", "rmi"},
		{"server.rmi.ssl.truststore.file", keystore},
		{"server.rmi.ssl.truststore.type", "PKCS12"},
		{"server.rmi.ssl.truststore.password", password},
		// One row for each request, within a second.
		{"mode", "StrippedBatch"},
		{"num_sample_threshold", "100"},
		{"time_threshold", "500"},
		{"sample_variables", strings.Join(variables, ",")},
		{"summariser.name", "summary"},
		{"summariser.interval", "6"},
		{"summariser.out", "true"},
		// A master listens for commands from other programs otherwise.
		{"jmeterengine.nongui.port", "0"},
		{"sampleresult.timestamp.start", "true"},
		// Connections stay open for as long as the server keeps them.
		{"httpclient4.time_to_live", "86400000"},
		{"httpclient4.retrycount", "0"},
		// JMeter's own InfluxDB listener gives a request up after 0.1 s to 3 s otherwise, which a busy machine may take.
		{"backend_influxdb.connection_timeout", "10000"},
		{"backend_influxdb.socket_timeout", "10000"},
		{"backend_influxdb.connection_request_timeout", "10000"},
		{"jmeter.save.saveservice.output_format", "csv"},
		{"jmeter.save.saveservice.print_field_names", "true"},
		{"jmeter.save.saveservice.timestamp_format", "ms"},
		{"jmeter.save.saveservice.autoflush", "true"},
	}
	for _, column := range []string{"time", "label", "response_code", "response_message", "thread_name", "successful", "bytes", "sent_bytes", "sample_count"} {
		out = append(out, pair{"jmeter.save.saveservice." + column, "true"})
	}
	for _, column := range []string{"data_type", "subresults", "assertions", "assertion_results_failure_message", "latency", "connect_time", "thread_counts", "url", "filename", "hostname", "idle_time"} {
		out = append(out, pair{"jmeter.save.saveservice." + column, "false"})
	}
	return out
}

// writeProperties writes them to a file that only this account may read: the key store's password is among them.
func writeProperties(dir, keystore, password string, captures []string) (path string, err error) {
	path = filepath.Join(dir, propertiesFile)
	return path, os.WriteFile(path, []byte(propertiesText(keystore, password, captures)), 0o600)
}

// propertiesText are all of them as a file has them.
func propertiesText(keystore, password string, captures []string) string {
	var b strings.Builder
	for _, p := range properties(keystore, password, captures) {
		fmt.Fprintf(&b, "%s=%s\n", p.Name, strings.ReplaceAll(p.Value, `\`, `\\`))
	}
	return b.String()
}

// newPassword is a random one.
func newPassword() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
