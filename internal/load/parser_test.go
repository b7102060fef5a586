package load

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// reading is what a reader makes of all a server sends before it closes.
type reading struct {
	class  string // empty: an answer
	status int
	body   string
	closes bool // the connection ends with it
	extra  bool // bytes are left over
	// replica is the one named; only the strict parser says it.
	replica string
}

func (v reading) String() string {
	if v.class != "" {
		return v.class
	}
	s := fmt.Sprintf("%d %q", v.status, v.body)
	if v.closes {
		s += " closes"
	}
	if v.extra {
		s += " extra"
	}
	return s
}

const testBodyLimit = 1 << 20

// byParser reads with the strict parser, fed in pieces of the given size.
func byParser(text string, head bool, piece int) reading { return byMemo(nil, text, head, piece) }

// byMemo reads with what is remembered of other answers.
func byMemo(m *memo, text string, head bool, piece int) reading {
	p := parser{memo: m}
	p.reset(head, true, testBodyLimit)
	rest := []byte(text)
	for len(rest) > 0 && !p.done() {
		n := min(piece, len(rest))
		took, err := p.feed(rest[:n])
		if err != nil {
			return reading{class: classify(err)}
		}
		rest = rest[took:]
	}
	if !p.done() {
		if err := p.eof(); err != nil {
			return reading{class: classify(err)}
		}
	}
	return reading{status: p.status, body: string(p.body), closes: p.closes, extra: len(rest) > 0, replica: string(p.replica)}
}

// byHTTP reads as the net/http engine does.
func byHTTP(text string, head bool) reading {
	c := conn{stopped: new(atomic.Bool), job: &Job{Phase: Phase{BodyLimit: testBodyLimit}}}
	c.head.Method = http.MethodGet
	if head {
		c.head.Method = http.MethodHead
	}
	c.in = limited{r: strings.NewReader(text), left: headerLimit}
	c.br = bufio.NewReaderSize(&c.in, bufferSize)
	resp, err := c.header()
	if err == nil {
		c.in.left = 1 << 62
		_, err = c.readBody(resp, true)
	}
	if err != nil {
		return reading{class: classify(c.failed(err))}
	}
	rest, _ := io.ReadAll(c.br)
	return reading{status: resp.StatusCode, body: string(c.body), closes: resp.Close, extra: len(rest) > 0}
}

const okLine = "HTTP/1.1 200 OK\r\n"

// framings are answers and what each engine says of them. An empty net/http
// column means that it says the same as the strict parser.
var framings = []struct{ name, text, raw, nethttp string }{
	// Right answers.
	{"length", okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"length 0", okLine + "Content-Length: 0\r\n\r\n", `200 ""`, ""},
	{"length with leading zeros", okLine + "Content-Length: 002\r\n\r\nhi", `200 "hi"`, ""},
	{"length in other case", okLine + "cOnTeNt-LeNgTh:2\r\n\r\nhi", `200 "hi"`, ""},
	{"length among blanks", okLine + "Content-Length: \t 2 \t\r\n\r\nhi", `200 "hi"`, ""},
	{"no reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"no reason and no blank", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"long reason", "HTTP/1.1 200 " + strings.Repeat("yes ", 1000) + "\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"reason beyond ASCII", "HTTP/1.1 200 \xc3\xa4\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"value beyond ASCII", okLine + "X: \xff\xfe\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"value with tab", okLine + "X: a\tb\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"empty value", okLine + "X:\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"odd but legal name", okLine + "!#$%&'*+-.^_`|~9: x\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"value with colons", okLine + "X: a:b:c\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"body with line ends", okLine + "Content-Length: 6\r\n\r\n\r\n\r\nab", `200 "\r\n\r\nab"`, ""},
	{"body with NUL", okLine + "Content-Length: 3\r\n\r\na\x00b", `200 "a\x00b"`, ""},
	{"an error status", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", `503 "no"`, ""},
	{"a status nobody knows", "HTTP/1.1 799 ?\r\nContent-Length: 0\r\n\r\n", `799 ""`, ""},
	{"a redirect", "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", `301 ""`, ""},
	{"close announced", okLine + "Connection: close\r\nContent-Length: 2\r\n\r\nhi", `200 "hi" closes`, ""},
	{"close in a list", okLine + "Connection: foo, CLOSE ,bar\r\nContent-Length: 2\r\n\r\nhi", `200 "hi" closes`, ""},
	{"close in the second field", okLine + "Connection: foo\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", `200 "hi" closes`, ""},
	{"keep-alive", okLine + "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", `200 "hi" closes`, ""},
	{"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"HTTP/1.0 with keep-alive and close", "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nhi", `200 "hi" closes`, ""},
	{"ended by closing", okLine + "\r\nhi", `200 "hi" closes`, ""},
	{"ended by closing, empty", okLine + "\r\n", `200 "" closes`, ""},
	{"HTTP/1.0 ended by closing", "HTTP/1.0 200 OK\r\n\r\nhi", `200 "hi" closes`, ""},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", `204 ""`, ""},
	{"204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", `204 ""`, ""},
	{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", `304 ""`, ""},
	{"304 with the length there would be", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", `304 ""`, ""},
	{"HEAD with length", "HEAD " + okLine + "Content-Length: 5\r\n\r\n", `200 ""`, ""},
	{"HEAD with chunks announced", "HEAD " + okLine + "Transfer-Encoding: chunked\r\n\r\n", `200 ""`, ""},
	{"HEAD without length", "HEAD " + okLine + "\r\n", `200 ""`, ""},
	{"HEAD with a body", "HEAD " + okLine + "Content-Length: 2\r\n\r\nhi", `200 "" extra`, ""},

	// Chunks.
	{"chunks", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n", `200 "hi yo"`, ""},
	{"chunks, other case", okLine + "transfer-encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", `200 "hi"`, ""},
	{"no chunk but the last", okLine + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", `200 ""`, ""},
	{"chunk size in hexadecimal", okLine + "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", `200 "01234567890123456789"`, ""},
	{"chunk size with leading zeros", okLine + "Transfer-Encoding: chunked\r\n\r\n0002\r\nhi\r\n000\r\n\r\n", `200 "hi"`, ""},
	{"chunk size of 16 digits", okLine + "Transfer-Encoding: chunked\r\n\r\n0000000000000002\r\nhi\r\n0\r\n\r\n", `200 "hi"`, ""},
	{"chunk size of 17 digits", okLine + "Transfer-Encoding: chunked\r\n\r\n00000000000000002\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk extension", okLine + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0;c\r\n\r\n", `200 "hi"`, ""},
	{"chunk extension in quotes", okLine + "Transfer-Encoding: chunked\r\n\r\n2;a=\"; 5\"\r\nhi\r\n0\r\n\r\n", `200 "hi"`, ""},
	{"chunk extension with blanks before", okLine + "Transfer-Encoding: chunked\r\n\r\n2 ;a\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"blank after the chunk size", okLine + "Transfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", "protocol", `200 "hi"`},
	{"blank before the chunk size", okLine + "Transfer-Encoding: chunked\r\n\r\n 2\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk extension with a bare CR", okLine + "Transfer-Encoding: chunked\r\n\r\n2;a\rb\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk extension with a control character", okLine + "Transfer-Encoding: chunked\r\n\r\n2;a\x01\r\nhi\r\n0\r\n\r\n", "protocol", `200 "hi"`},
	{"chunk extension too long", okLine + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 5000) + "\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"many long chunk extensions", okLine + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 3000)+"\r\nx\r\n", 10) + "0\r\n\r\n", "protocol", ""},
	{"one byte per chunk", okLine + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 3000) + "0\r\n\r\n", `200 "` + strings.Repeat("x", 3000) + `"`, ""},
	{"trailer", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", `200 "hi"`, ""},
	{"trailer announced", okLine + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", `200 "hi"`, ""},
	{"a framing trailer announced", okLine + "Trailer: X, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"length as trailer", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent-Length: 2\r\n\r\n", "protocol", `200 "hi"`},
	{"coding as trailer", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "protocol", `200 "hi"`},
	{"trailer that is no field", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nnonsense\r\n\r\n", "protocol", ""},
	{"trailer too long", okLine + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + strings.Repeat("a", 5000) + "\r\n\r\n", "header too long", "protocol"},
	{"trailer never ends", okLine + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: a\r\n", 2000), "header too long", "protocol"},
	{"chunk size is not a number", okLine + "Transfer-Encoding: chunked\r\n\r\nxx\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size with 0x", okLine + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size with sign", okLine + "Transfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size below 0", okLine + "Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size missing", okLine + "Transfer-Encoding: chunked\r\n\r\n\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size missing before an extension", okLine + "Transfer-Encoding: chunked\r\n\r\n;a\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size of 2^64", okLine + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk size of 2^64-1", okLine + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nhi\r\n0\r\n\r\n", "protocol", "closed early"},
	{"chunk size of 2^63", okLine + "Transfer-Encoding: chunked\r\n\r\n8000000000000000\r\nhi\r\n0\r\n\r\n", "protocol", "closed early"},
	{"chunk size of 2^63-1", okLine + "Transfer-Encoding: chunked\r\n\r\n7FFFFFFFFFFFFFFF\r\nhi\r\n0\r\n\r\n", "body too long", "closed early"},
	{"chunk larger than it says", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n", "protocol", ""},
	{"chunk smaller than it says", okLine + "Transfer-Encoding: chunked\r\n\r\n4\r\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk without end of line", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n", "protocol", ""},
	{"chunk size ended by LF", okLine + "Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", "protocol", ""},
	{"chunk ended by LF", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\n0\r\n\r\n", "protocol", ""},
	{"chunk ended by two CR", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\r\n0\r\n\r\n", "protocol", ""},
	{"last chunk without the empty line", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", "closed early", ""},
	{"no last chunk", okLine + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "closed early", ""},
	{"nothing but the announcement of chunks", okLine + "Transfer-Encoding: chunked\r\n\r\n", "closed early", ""},
	{"plain body where chunks were announced", okLine + "Transfer-Encoding: chunked\r\n\r\nhello", "closed early", ""},
	{"more chunks than the limit", okLine + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n", 40) + "0\r\n\r\n", "body too long", ""},

	// Codings that are not one chunked.
	{"gzip, chunked", okLine + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"chunked, chunked", okLine + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"chunked twice", okLine + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"identity", okLine + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"chunked, identity", okLine + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"an unknown coding", okLine + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"chunked in quotes", okLine + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"chunked with vertical tab", okLine + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"chunked with comma", okLine + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "protocol", ""},
	{"no coding at all", okLine + "Transfer-Encoding:\r\n\r\nhi", "protocol", ""},
	{"blank before the colon of the coding", okLine + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "protocol", `200 "0\r\n\r\n" closes`},
	{"chunked under HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "protocol", `200 "2\r\nhi\r\n0\r\n\r\n" closes`},
	{"chunked with length", okLine + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "protocol", `200 "hi"`},
	{"length with chunked", okLine + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "protocol", `200 "hi"`},

	// Lengths.
	{"two equal lengths", okLine + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"two different lengths", okLine + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", "protocol", ""},
	{"a list of lengths", okLine + "Content-Length: 2, 2\r\n\r\nhi", "protocol", ""},
	{"length below 0", okLine + "Content-Length: -1\r\n\r\nhi", "protocol", ""},
	{"length with plus", okLine + "Content-Length: +2\r\n\r\nhi", "protocol", ""},
	{"length in hexadecimal", okLine + "Content-Length: 0x2\r\n\r\nhi", "protocol", ""},
	{"length with point", okLine + "Content-Length: 2.0\r\n\r\nhi", "protocol", ""},
	{"length with exponent", okLine + "Content-Length: 1e1\r\n\r\n0123456789", "protocol", ""},
	{"length with underscore", okLine + "Content-Length: 1_0\r\n\r\n0123456789", "protocol", ""},
	{"length with blank inside", okLine + "Content-Length: 1 0\r\n\r\n0123456789", "protocol", ""},
	{"length of nothing", okLine + "Content-Length:\r\n\r\nhi", "protocol", ""},
	{"length of 2^63", okLine + "Content-Length: 9223372036854775808\r\n\r\nhi", "protocol", ""},
	{"length of 2^64", okLine + "Content-Length: 18446744073709551616\r\n\r\nhi", "protocol", ""},
	{"length of 2^64 + 2", okLine + "Content-Length: 18446744073709551618\r\n\r\nhi", "protocol", ""},
	{"length in other digits", okLine + "Content-Length: \u0662\r\n\r\nhi", "protocol", ""},
	{"length with NUL", okLine + "Content-Length: 2\x00\r\n\r\nhi", "protocol", ""},
	{"length longer than the body", okLine + "Content-Length: 5\r\n\r\nhi", "closed early", ""},
	{"length shorter than the body", okLine + "Content-Length: 1\r\n\r\nhi", `200 "h" extra`, ""},
	{"length above the limit", okLine + "Content-Length: 1048577\r\n\r\nhi", "body too long", ""},
	{"length above the limit, with the body", okLine + "Content-Length: 1048577\r\n\r\n" + strings.Repeat("x", 1048577), "body too long", ""},
	{"length at the limit, cut", okLine + "Content-Length: 1048576\r\n\r\nhi", "closed early", ""},
	{"ended by closing above the limit", okLine + "\r\n" + strings.Repeat("x", 1048577), "body too long", ""},
	{"folded length", okLine + "Content-Length:\r\n 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"blank before the colon of the length", okLine + "Content-Length : 2\r\n\r\nhi", "protocol", `200 "hi" closes`},
	{"204 with length", "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nhi", "protocol", `204 "" extra`},
	{"204 with chunks", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol", `204 "" extra`},
	{"304 with a body", "HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nhi", `304 "" extra`, ""},

	// Status lines.
	{"one digit", "HTTP/1.1 2 OK\r\n\r\n", "protocol", ""},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "protocol", ""},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "protocol", ""},
	{"a status with sign", "HTTP/1.1 +20 OK\r\n\r\n", "protocol", ""},
	{"a status below 0", "HTTP/1.1 -20 OK\r\n\r\n", "protocol", ""},
	{"a status of letters", "HTTP/1.1 abc OK\r\n\r\n", "protocol", ""},
	{"status 000", "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "protocol", ""},
	{"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "protocol", ""},
	{"no status", "HTTP/1.1\r\n\r\n", "protocol", ""},
	{"no status but blank", "HTTP/1.1 \r\n\r\n", "protocol", ""},
	{"two blanks before the status", "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a tab before the status", "HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"a blank before the line", " HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"an empty line before", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"lower case", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"HTTP/0.9", "<html>hello</html>", "protocol", "closed early"},
	{"HTTP/0.9 with line", "<html>\r\nhello\r\n</html>\r\n", "protocol", ""},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"HTTP/1", "HTTP/1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"HTTP/1.10", "HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"HTTP/01.1", "HTTP/01.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "protocol", ""},
	{"HTTP/2 settings", "\x00\x00\x00\x04\x00\x00\x00\x00\x00\r\n", "protocol", ""},
	{"TLS alert", "\x15\x03\x01\x00\x02\x02\x16", "protocol", "closed early"},
	{"another protocol", "220 mail.example ESMTP\r\n", "protocol", ""},
	{"reason with NUL", "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a bare CR in the status line", "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a status line without end", "HTTP/1.1 200 " + strings.Repeat("x", 70000), "header too long", ""},

	// Header fields.
	{"lines ended by LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", "protocol", `200 "hi"`},
	{"one line ended by LF", okLine + "Content-Length: 2\n\r\nhi", "protocol", `200 "hi"`},
	{"header ended by LF", okLine + "Content-Length: 2\r\n\nhi", "protocol", `200 "hi"`},
	{"a bare CR in a value", okLine + "X: a\rContent-Length: 3\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"lines ended by CR", "HTTP/1.1 200 OK\rContent-Length: 2\r\rhi", "closed early", ""},
	{"two CR", okLine + "Content-Length: 2\r\r\n\r\nhi", "protocol", ""},
	{"a folded line", okLine + "X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a first line that is folded", okLine + " X: a\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"a blank before a colon", okLine + "X : a\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a blank in a name", okLine + "X Y: a\r\nContent-Length: 2\r\n\r\nhi", "protocol", `200 "hi"`},
	{"a name in brackets", okLine + "X[]: a\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"a name beyond ASCII", okLine + "\u00c4: a\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"a name with NUL", okLine + "X\x00: a\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"no name", okLine + ": a\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"no colon", okLine + "nonsense\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"NUL in a value", okLine + "X: a\x00b\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"DEL in a value", okLine + "X: a\x7fb\r\nContent-Length: 2\r\n\r\nhi", "protocol", ""},
	{"header of 60 KiB", okLine + "X: " + strings.Repeat("a", 60<<10) + "\r\nContent-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"header of 70 KiB", okLine + "X: " + strings.Repeat("a", 70<<10) + "\r\nContent-Length: 2\r\n\r\nhi", "header too long", ""},
	{"10,000 fields", okLine + strings.Repeat("X: a\r\n", 12000) + "Content-Length: 2\r\n\r\nhi", "header too long", "protocol"},
	{"header without end", okLine + strings.Repeat("X: a\r\n", 20000), "header too long", "protocol"},

	// Interim answers.
	{"100 first", "HTTP/1.1 100 Continue\r\n\r\n" + okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"103 with fields", "HTTP/1.1 103 Early\r\nLink: x\r\nX-Bakeoff-Replica: no\r\n\r\n" + okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"eight interim answers", strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 8) + okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"nine interim answers", strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 9) + okLine + "Content-Length: 2\r\n\r\nhi", "header too long", ""},
	{"a thousand interim answers", strings.Repeat("HTTP/1.1 100 C\r\n\r\n", 1000), "header too long", ""},
	{"an interim answer with length 0", "HTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\n" + okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"an interim answer with a body", "HTTP/1.1 100 C\r\nContent-Length: 2\r\n\r\nhi" + okLine + "Content-Length: 2\r\n\r\nhi", "protocol", ""},
	{"an interim answer that closes", "HTTP/1.1 103 E\r\nConnection: close\r\n\r\n" + okLine + "Content-Length: 2\r\n\r\nhi", `200 "hi"`, ""},
	{"an interim answer and nothing", "HTTP/1.1 100 C\r\n\r\n", "closed early", ""},
	{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "protocol", ""},

	// Ends.
	{"nothing", "", "closed before answer", ""},
	{"one byte", "H", "closed early", ""},
	{"half a status line", "HTTP/1.1 20", "closed early", ""},
	{"half a header", okLine + "Content-Le", "closed early", ""},
	{"a header without its end", okLine + "Content-Length: 2\r\n", "closed early", ""},
	{"two answers", okLine + "Content-Length: 2\r\n\r\nhi" + okLine + "Content-Length: 2\r\n\r\nyo", `200 "hi" extra`, ""},
	{"an empty line after", okLine + "Content-Length: 2\r\n\r\nhi\r\n", `200 "hi" extra`, ""},
	{"bytes after the last chunk", okLine + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore", `200 "" extra`, ""},
	{"bytes after 204", "HTTP/1.1 204 No\r\n\r\nhi", `204 "" extra`, ""},
}

func TestFramings(t *testing.T) {
	if len(framings) < 120 {
		t.Errorf("only %d framings", len(framings))
	}
	for _, f := range framings {
		text, head := strings.CutPrefix(f.text, "HEAD ")
		for _, piece := range []int{1, 2, 3, 7, 61, 4096, len(text) + 1} {
			if piece < 61 && len(text) > 20_000 {
				continue
			}
			if got := byParser(text, head, piece).String(); got != f.raw {
				t.Errorf("%s in pieces of %d: raw says %s, want %s", f.name, piece, shorten(got), shorten(f.raw))
			}
		}
		want := f.nethttp
		if want == "" {
			want = f.raw
		}
		got := byHTTP(text, head).String()
		if got != want {
			t.Errorf("%s: net/http says %s, want %s", f.name, shorten(got), shorten(want))
		}
		if _, err := strconv.Atoi(want[:3]); err != nil {
			if _, err := strconv.Atoi(f.raw[:3]); err == nil {
				t.Errorf("%s: net/http refuses, raw does not", f.name)
			}
		}
	}
}

// What is remembered of any answer changes nothing about any other.
func TestMemo(t *testing.T) {
	answers := []string{
		okLine + "X-Bakeoff-Replica: a\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "X-Bakeoff-Replica: b\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "X-Bakeoff-Replica: b\r\nX-Bakeoff-Replica: a\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "Connection: close\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "Connection: close\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "A: b\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
		okLine + "X: y\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.0 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
	}
	for _, f := range framings {
		if len(f.text) < 5000 {
			answers = append(answers, f.text)
		}
	}
	taken := 0
	for _, first := range answers {
		for _, second := range answers {
			m := new(memo)
			text, head := strings.CutPrefix(first, "HEAD ")
			byMemo(m, text, head, len(text)+1)
			if m.lines[0].text != nil && strings.HasPrefix(second, string(m.lines[0].text)) {
				taken++
			}
			text, head = strings.CutPrefix(second, "HEAD ")
			for _, piece := range []int{len(text) + 1, 40} {
				if got, want := byMemo(m, text, head, piece), byParser(text, head, piece); got != want {
					t.Fatalf("%q after %q: %v, alone %v", text, first, got, want)
				}
			}
		}
	}
	if taken < 1000 {
		t.Errorf("only %d second answers began like the first", taken)
	}
}

func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
