package load

import (
	"bytes"
	"strconv"
	"strings"
)

// places is what follows a request's target where its key is in the header or the body: texts, with
// the key between two of them.
type places struct {
	head, body [][]byte
	sized      bool // the header says how long the body is
	length     int  // of the body without keys
}

// holds reports whether the header or the body holds a mark.
func (j *Job) holds(mark string) bool {
	if mark == "" {
		return false
	}
	for _, f := range j.Header {
		if strings.Contains(f.Value, mark) {
			return true
		}
	}
	return bytes.Contains(j.Body, []byte(mark))
}

// places cuts the rest of every request where a key goes.
func (j *Job) places(host string) *places {
	mark := []byte(j.byKey.KeyMark())
	head := []byte(" HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, f := range j.Header {
		head = append(head, f.Name+": "+f.Value+"\r\n"...)
	}
	if j.Phase.Reconnect {
		head = append(head, "Connection: close\r\n"...)
	}
	p := &places{head: bytes.Split(head, mark), body: bytes.Split(j.Body, mark), sized: j.hasBody()}
	for _, text := range p.body {
		p.length += len(text)
	}
	return p
}

// append writes the rest of one request.
func (p *places) append(dst []byte, keys ByKey, stream, n uint64) []byte {
	dst = appendFilled(dst, p.head, keys, stream, n)
	if p.sized {
		from := len(dst)
		dst = keys.AppendKey(dst, stream, n)
		key := len(dst) - from
		dst = append(dst[:from], "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(p.length+(len(p.body)-1)*key), 10)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return appendFilled(dst, p.body, keys, stream, n)
}

// appendFilled writes texts with the key between them.
func appendFilled(dst []byte, texts [][]byte, keys ByKey, stream, n uint64) []byte {
	for i, text := range texts {
		if i > 0 {
			dst = keys.AppendKey(dst, stream, n)
		}
		dst = append(dst, text...)
	}
	return dst
}

// filled is a text with the request's key in its places.
func (j *Job) filled(text string, stream, n uint64) string {
	if j.byKey == nil {
		return text
	}
	return strings.ReplaceAll(text, j.byKey.KeyMark(), string(j.byKey.AppendKey(nil, stream, n)))
}
