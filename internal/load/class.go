package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Whose fault a failed request is.
const (
	Ours   = "ours"   // the generator's: it lacked something
	Theirs = "theirs" // the server's or that of a proxy in front of it
	Nobody = "nobody"
)

// Class is one way for a request to fail.
type Class struct {
	Name  string `json:"name"`  // as in Window.Outcomes
	Fault string `json:"fault"` // Ours, Theirs or Nobody
	Means string `json:"means"`
}

// Names of the classes.
const (
	classTimeout      = "timeout"
	classRefused      = "refused"
	classReset        = "reset"
	classClosedBefore = "closed before answer"
	classClosedEarly  = "closed early"
	classProtocol     = "protocol"
	classExtra        = "extra bytes"
	classEarly        = "early answer"
	classHeader       = "header too long"
	classBody         = "body too long"
	classTLS          = "tls"
	classCertificate  = "certificate"
	classUnreachable  = "unreachable"
	classPorts        = "ports"
	classDescriptors  = "descriptors"
	classMemory       = "memory"
	classRequest      = "request"
	classPermit       = "not permitted"
	classInterrupted  = "interrupted"
	classOther        = "other"

	// Reasons in Window.Lost that are no class: the arrival was never sent.
	lostLoop   = "loop"   // taken up too late to be sent at all
	lostPermit = "permit" // the controller had gone silent
)

// Classes is the fixed set of ways to fail, in addition to those of whole answers
// ("status N", "wrong length" and what the check says).
func Classes() []Class {
	return []Class{
		{classTimeout, Nobody, "no whole answer within the time-out"},
		{classRefused, Theirs, "the connection was refused"},
		{classReset, Theirs, "the connection was reset"},
		{classClosedBefore, Theirs, "the connection was closed before the first byte of an answer"},
		{classClosedEarly, Theirs, "the connection was closed in the middle of an answer"},
		{classProtocol, Theirs, "the bytes received are not an HTTP/1.1 answer, or not HTTP/2 where that was requested"},
		{classExtra, Theirs, "the server sent more bytes than the answer has"},
		{classEarly, Theirs, "the answer arrived before the request was sent"},
		{classHeader, Theirs, "the header is longer than 64 KiB, or there were more than 8 interim answers"},
		{classBody, Theirs, "the body is longer than the limit"},
		{classTLS, Theirs, "the TLS handshake failed"},
		{classCertificate, Ours, "the server's certificate is not trusted here, or the server wants a certificate that was not given"},
		{classUnreachable, Nobody, "there is no route to the address"},
		{classPorts, Ours, "no local port was left"},
		{classDescriptors, Ours, "no file descriptor was left"},
		{classMemory, Ours, "the kernel had no memory for the connection"},
		{classRequest, Ours, "the request could not be written as HTTP"},
		{classPermit, Ours, "the permission to send ended while the connection was being opened"},
		{classInterrupted, Ours, "cut off because the run ended"},
		{classOther, Nobody, "anything else"},
	}
}

// Errors of the connections themselves.
var (
	errHeaderLimit  = errors.New("header too long")
	errBodyLimit    = errors.New("body too long")
	errExtra        = errors.New("bytes after the answer")
	errEarly        = errors.New("answer before the request")
	errNoAnswer     = errors.New("closed before answer")
	errRequest      = errors.New("request is not HTTP")
	errNotPermitted = errors.New("not permitted")
	errInterrupted  = errors.New("interrupted")
	errProtocol     = errors.New("not an HTTP/1.1 answer")
)

// sentinels maps errors to classes; the first that matches counts.
var sentinels = []struct {
	err   error
	class string
}{
	{errInterrupted, classInterrupted},
	{errHeaderLimit, classHeader},
	{errBodyLimit, classBody},
	{errExtra, classExtra},
	{errEarly, classEarly},
	{errNoAnswer, classClosedBefore},
	{errRequest, classRequest},
	{errNotPermitted, classPermit},
	{errProtocol, classProtocol},
	{errNotHTTP2, classTLS},
	{os.ErrDeadlineExceeded, classTimeout},
	{syscall.ETIMEDOUT, classTimeout},
	{syscall.ECONNREFUSED, classRefused},
	{syscall.ECONNRESET, classReset},
	{syscall.ECONNABORTED, classReset},
	{syscall.EPIPE, classReset},
	{syscall.EADDRNOTAVAIL, classPorts},
	{syscall.EADDRINUSE, classPorts},
	{syscall.EMFILE, classDescriptors},
	{syscall.ENFILE, classDescriptors},
	{syscall.ENOBUFS, classMemory},
	{syscall.ENOMEM, classMemory},
	{syscall.EAGAIN, classRefused}, // a socket of this machine whose queue is full
	{syscall.ENOENT, classUnreachable},
	{syscall.EACCES, classUnreachable},
	{syscall.EHOSTUNREACH, classUnreachable},
	{syscall.ENETUNREACH, classUnreachable},
	{io.ErrUnexpectedEOF, classClosedEarly},
	{io.EOF, classClosedEarly},
}

// classify names the class of an error met while opening a connection or
// exchanging a request for an answer.
func classify(err error) string {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.class
		}
	}
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return classTimeout
	}
	if isCertificate(err) {
		return classCertificate
	}
	if isTLS(err) {
		return classTLS
	}
	return classOther
}

// isCertificate reports whether TLS failed for want of a file of the user's: the authority that signed the
// server's certificate, or a certificate that the server asks for. Alerts are known by their words only.
func isCertificate(err error) bool {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		for _, words := range []string{"bad certificate", "certificate required", "unknown certificate authority"} {
			if strings.HasSuffix(op.Err.Error(), words) {
				return true
			}
		}
	}
	return false
}

// isTLS reports whether TLS failed, and not the connection under it. Some of its errors are
// known only by the words of crypto/tls.
func isTLS(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // an alert
	}
	if strings.HasPrefix(err.Error(), "tls: ") {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.HostnameError](err)
	return ok
}

// lostOf names the entry of Window.Lost a class counts in; empty when the
// failure is not for want of something of ours.
func lostOf(class string) string {
	switch class {
	case classPorts, classDescriptors, classMemory, classPermit:
		return class
	}
	return ""
}

// statusClass is the class of an answer whose status is not the right one.
func statusClass(status int) string { return "status " + strconv.Itoa(status) }
