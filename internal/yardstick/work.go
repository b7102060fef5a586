package yardstick

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// work is the fixed piece of work with all that it needs. It always does the same.
type work struct {
	rows    []row
	pattern *regexp.Regexp
	page    *template.Template
	deflate *flate.Writer
	out     bytes.Buffer
}

// row is a line of the table that the work encodes, decodes and prints.
type row struct {
	Name   string             `json:"name"`
	Number int                `json:"number"`
	Prices map[string]float64 `json:"prices"`
	Tags   []string           `json:"tags"`
}

const (
	request = "GET /search?q=yardstick%20one&page=3&order=price HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\n" +
		"Accept-Language: en\r\nUser-Agent: yardstick\r\nCookie: session=0123456789abcdef; theme=dark\r\n\r\n"
	logLine  = `10.0.0.7 - ada [17/May/2026:10:05:03 +0000] "GET /items/4711?ref=home HTTP/1.1" 200 2326 "https://shop.example/" "yardstick"`
	pageText = `<ul>{{range .}}<li id="r{{.Number}}" title="{{.Name}}">{{.Name}}: {{range $k, $v := .Prices}}{{$k}} {{printf "%.2f" $v}} {{end}}` +
		`{{if .Tags}}<em>{{range .Tags}}{{.}}, {{end}}</em>{{end}}</li>{{end}}</ul>`
	logPattern = `^(\S+) \S+ (\S+) \[([^\]]+)\] "(GET|POST|PUT) ([^ "?]+)(?:\?(\S*))? HTTP/(\d\.\d)" (\d{3}) (\d+)`
)

func newWork() (*work, error) {
	w := &work{}
	for i := range 5 {
		w.rows = append(w.rows, row{
			Name: fmt.Sprintf("item <%d> & more", i*7919), Number: i, Tags: []string{"new", "blue", fmt.Sprint(i)},
			Prices: map[string]float64{"eur": float64(i) * 1.25, "usd": 1e3 / float64(i+3)},
		})
	}
	var err error
	if w.pattern, err = regexp.Compile(logPattern); err != nil {
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	if w.page, err = template.New("page").Parse(pageText); err != nil {
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	if w.deflate, err = flate.NewWriter(io.Discard, flate.BestSpeed); err != nil {
		return nil, fmt.Errorf("yardstick: %w", err)
	}
	return w, nil
}

// do does the work once; an error means that it was not the work it should have been.
func (w *work) do() error {
	text, err := json.Marshal(w.rows)
	if err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	var back []row
	if err := json.Unmarshal(text, &back); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	if found := w.pattern.FindStringSubmatch(logLine); len(found) != 10 || found[5] != "/items/4711" {
		return fmt.Errorf("yardstick: the pattern found %q", found)
	}
	w.out.Reset()
	if err := w.page.Execute(&w.out, back); err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	r, err := http.ReadRequest(bufio.NewReaderSize(strings.NewReader(request), 512))
	if err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	if r.URL.Query().Get("page") != "3" || len(r.Cookies()) != 2 {
		return fmt.Errorf("yardstick: the request was read as %v", r.URL)
	}
	w.deflate.Reset(io.Discard)
	_, err = w.deflate.Write(w.out.Bytes())
	if err == nil {
		err = w.deflate.Close()
	}
	if err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	return nil
}

// NewWork returns a function that does the work once each time it is called, from one goroutine at a time.
func NewWork() (func() error, error) {
	w, err := newWork()
	if err != nil {
		return nil, err
	}
	return w.do, nil
}
