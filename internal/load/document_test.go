package load

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"bakeoff/internal/doctest"
)

var update = flag.Bool("update", false, "write docs/framings.md and the classes in docs/engine.md")

// The documents say of every framing, every mischief and every class what the tables of the tests and the code say.
func TestDocumentedFramings(t *testing.T) {
	const path = "../../docs/framings.md"
	if *update {
		if err := os.WriteFile(path, []byte(framingsDocument()), 0o644); err != nil {
			t.Fatal(err)
		}
		doctest.Write(t, engineDoc, "classes", classesTable())
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(doc) != framingsDocument() {
		t.Errorf("%s is not what the tables say: go test ./internal/load -run Documented -update", path)
	}
	if doctest.Text(t, engineDoc, "classes") != classesTable() {
		t.Errorf("the classes in %s are not those of the code: go test ./internal/load -run Documented -update", engineDoc)
	}
}

func classesTable() string {
	var b strings.Builder
	b.WriteString("| class | whose fault | meaning |\n|---|---|---|\n")
	whose := map[string]string{Ours: "the generator's", Theirs: "the server's or a proxy's", Nobody: "unknown"}
	for _, c := range Classes() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Name, whose[c.Fault], c.Means)
	}
	return b.String()
}

func framingsDocument() string {
	var b strings.Builder
	b.WriteString("# How the engines read an answer\n\n" +
		"This file is written by `go test ./internal/load -run Documented -update` from the tables that the tests run.\n" +
		"`make test` fails when the two differ.\n\n" +
		"## Framings\n\n" +
		"Each case is sent to both engines in pieces of 1, 2, 3, 7, 61 and more bytes. The last two columns show what\n" +
		"the engine makes of it: the status and the body that it read, or a class of errors. \"closes\" means that the\n" +
		"connection is not used again. \"extra\" means that bytes are left over, which makes the request an error too.\n" +
		"A case marked HEAD is the answer to a HEAD request. Where the engines differ, the native engine refuses what\n" +
		"Go's parser repairs, or refuses it earlier.\n\n" +
		"| case | on the wire | native | http |\n|---|---|---|---|\n")
	for _, f := range framings {
		http := f.nethttp
		if http == "" {
			http = "same"
		}
		text, head := strings.CutPrefix(f.text, "HEAD ")
		if head {
			f.name += " (HEAD)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(f.name), wire(text), cell(f.raw), cell(http))
	}
	b.WriteString("\n## What a server may do to a request\n\n" +
		"The same for both engines and both models, with and without TLS. When client and server act at the same\n" +
		"moment, more than one class is possible.\n\n| what the server does | counted as |\n|---|---|\n")
	for _, f := range fates {
		class := f.class
		if class == "" {
			class = "ok"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", cell(f.name), cell(strings.Join(append([]string{class}, f.or...), " or ")))
	}
	return b.String()
}

// wire quotes what is sent, the middle of long texts left out.
func wire(text string) string {
	const most = 90
	if len(text) <= most {
		return code(text)
	}
	head, tail := text[:most/2], text[len(text)-most/3:]
	for !utf8.ValidString(head) && len(head) > most/3 {
		head = head[:len(head)-1]
	}
	return fmt.Sprintf("%s ... %s, %d bytes", code(head), code(tail), len(text))
}

// code writes Go's quoted form as code; a vertical bar would end the cell.
func code(text string) string {
	return "`" + strings.NewReplacer("|", `\x7c`, "`", `\x60`).Replace(strconv.QuoteToASCII(text)) + "`"
}

func cell(text string) string {
	text = shorten(text)
	return strings.NewReplacer("|", `\|`, "\r", `\r`, "\n", `\n`).Replace(text)
}
