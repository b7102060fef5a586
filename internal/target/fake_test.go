package target_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"bakeoff/internal/target"
)

// proof and noProof are overlaps as ready lines carry them.
const (
	proof   = `{"first_began":1.0,"first_ended":1.2,"second_began":1.001,"second_ended":1.201}`
	noProof = `{"first_began":1.0,"first_ended":1.2,"second_began":1.2,"second_ended":1.4}`
)

// fakeTarget is a target without a framework; FAKE says what is wrong with it.
func fakeTarget() int {
	mode := os.Getenv("FAKE")
	nonce, pid, pool, protocol, overlap := os.Getenv("BAKEOFF_NONCE"), os.Getpid(), os.Getenv("DATABASE_POOL"), "text", proof
	switch mode {
	case "deaf":
		for {
			time.Sleep(time.Second)
		}
	case "children end":
		for {
			_ = exec.Command("sleep", "0.6").Run()
		}
	case "exits":
		fmt.Println("the reason it gave")
		return 0
	case "wrong nonce":
		nonce = "another"
	case "foreign pid":
		pid = 1
	case "other pool":
		pool = "77"
	case "other protocol":
		protocol = "prepared"
	case "no overlap":
		overlap = noProof
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(mode, "error text") {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, nonce)
	}))
	line := fmt.Sprintf(`bakeoff: ready {"pid":%d,"pool":%s,"protocol":%q,"overlap":%s}`, pid, pool, protocol, overlap)
	switch mode {
	case "silent", "error text in silence":
	case "replaced":
		fmt.Println(line)
		time.AfterFunc(300*time.Millisecond, func() { fmt.Println(strings.Replace(line, fmt.Sprint(pid), "1", 1)) })
	case "no proof given":
		fmt.Printf("bakeoff: ready {\"pid\":%d,\"pool\":%s,\"protocol\":\"text\"}\n", pid, pool)
	case "no json":
		fmt.Println("bakeoff: ready now")
	case "too many":
		fmt.Print(line, "\n", strings.Replace(line, fmt.Sprint(pid), "1", 1), "\n")
	case "twice":
		fmt.Println(line)
		fmt.Println(line)
	case "in pieces":
		fmt.Print("some text before\n" + line[:30])
		time.Sleep(100 * time.Millisecond)
		fmt.Println(line[30:])
	default:
		fmt.Println(line)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
	return 0
}

// fakeRecipe is the recipe of a fake target; it is prepared at once.
func fakeRecipe(t *testing.T) *target.Recipe { return fakeRecipeWith(t, "overlap: required\n") }

// fakeRecipeWith is one with other last lines.
func fakeRecipeWith(t *testing.T, lines string) *target.Recipe {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := `
name: fake
title: A fake
language: none
needs:
  - {tool: self, any_of: [` + self + `], package: none}
  - {tool: sh, package: dash}
versions: ["{sh}", -c, 'echo ''{"fake":"1"}''']
start: ["{self}", fake]
env: {FAKE: "", "COUNT": "{workers}"}
access_log:
  off: {args: [--quiet], env: {LOGGING: "off"}}
  on: {args: ["--log={name}"], env: {LOGGING: "{COUNT}"}}
processes: "1"
pool: {kind: bounded}
protocol: text
keepalive: 75s
` + lines
	r, err := target.Load(fstest.MapFS{"fake/target.yaml": {Data: []byte(text)}}, "fake", "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}
