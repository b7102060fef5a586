package jmeter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A result file is read while it grows, whatever the pieces in which it does: the rows are the same.
func TestResultFileInPieces(t *testing.T) {
	text := fakeHeader + "\n" +
		"1000,3,request,200,OK,127.0.0.1:2-load 1-1,true,160,136,1,0,warm,1,true,r-1\n" +
		"1001,4,request,Non HTTP response code: x.Y,\"a, \"\"quoted\"\"\nmessage\",127.0.0.1:3-load 1-1,false,0,0,1,1,-,-,-,-\n"
	for size := 1; size <= len(text); size += 7 {
		path := filepath.Join(t.TempDir(), "out.jtl")
		j := &jtl{path: path, captures: []string{"key", "id", "exists"}}
		var got []row
		take := func() {
			if err := j.read(func(r row) error { got = append(got, r); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		take() // it is not there yet
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			if _, err := file.WriteString(rest[:min(size, len(rest))]); err != nil {
				t.Fatal(err)
			}
			take()
		}
		file.Close()
		j.close()
		if len(got) != 2 || j.rows != 2 {
			t.Fatalf("pieces of %d: %d rows", size, len(got))
		}
		if got[0].server != "127.0.0.1:2" || got[0].elapsed.Milliseconds() != 3 || got[0].replica != "r-1" || strings.Join(got[0].captures, " ") != "warm 1 true" || !got[0].ok {
			t.Errorf("%+v", got[0])
		}
		if got[1].message != "a, \"quoted\"\nmessage" || got[1].number != 1 || got[1].ok {
			t.Errorf("%+v", got[1])
		}
	}
}

func TestResultFileWithoutColumn(t *testing.T) {
	j := &jtl{path: "x", captures: []string{"key", "id", "exists"}}
	if err := j.take([]byte("timeStamp,elapsed\n"), nil); err == nil || !strings.Contains(err.Error(), "has no column responseCode") {
		t.Errorf("%v", err)
	}
	j = &jtl{path: "x", captures: []string{"key", "id", "exists"}}
	err := j.take([]byte(fakeHeader+"\nx,3,request,200,OK,a:1-load,true,1,1,1,0,w,1,true,r\n"), nil)
	if err == nil || !strings.Contains(err.Error(), `row 1: timeStamp is "x", no number`) {
		t.Errorf("%v", err)
	}
}
