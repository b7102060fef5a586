package jmeter

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bakeoff/internal/load"
)

// The test binary plays java where a real JVM cannot be made to err on command. What a master does is in a file
// of the log folder.
const behaviourFile = "behaviour"

// isFake reports whether the arguments are those of a JVM.
func isFake(args []string) bool { return len(args) > 1 && strings.HasPrefix(args[1], "-Xms") }

// valueOf is the argument after a flag.
func valueOf(flag string) string {
	if i := slices.Index(os.Args, flag); i >= 0 {
		return os.Args[i+1]
	}
	return ""
}

func fakeJVM() int {
	behaviour, _ := os.ReadFile(filepath.Join(filepath.Dir(valueOf("-j")), behaviourFile))
	if slices.Contains(os.Args, "-s") {
		return fakeServer(string(behaviour))
	}
	return fakeMaster(string(behaviour), valueOf("-l"), strings.Split(valueOf("-R"), ","))
}

func fakeServer(behaviour string) int {
	switch behaviour {
	case "port taken":
		fmt.Println("Problem creating registry: java.rmi.server.ExportException: Listen failed on port: 1; nested exception is: ")
		fmt.Println("Continuing...")
		time.Sleep(time.Hour)
	case "server ends":
		return 3
	}
	if err := os.WriteFile(valueOf("-j"), []byte("Bound to RMI registry on port 1\n"), 0o600); err != nil {
		return 1
	}
	time.Sleep(time.Hour)
	return 0
}

const fakeHeader = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,bytes,sentBytes,SampleCount,\"n\",\"key\",\"id\",\"exists\",\"replica\""

func fakeMaster(behaviour, jtl string, servers []string) int {
	out, err := os.OpenFile(jtl, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 1
	}
	started, samples, counted := servers, 1, 2*len(servers)
	switch behaviour {
	case "starts none":
		fmt.Println("Remote engines have been started:[]")
		fmt.Println("... end of run")
		return 0
	case "starts one":
		started = servers[:1]
	case "statistical":
		samples = 99
	case "counts more":
		counted++
	}
	fmt.Printf("Remote engines have been started:[%s]\n", strings.Join(started, ", "))
	fmt.Fprintln(out, fakeHeader)
	begin := time.Now().UnixMilli()
	for k, server := range servers {
		if behaviour == "one silent" && k > 0 {
			counted -= 2
			continue
		}
		for n := range 2 {
			fmt.Fprintf(out, "%d,3,request,200,OK,%s-load 1-%d,true,160,136,%d,%d,warm,1,true,flask-1\n", begin+int64(n), server, n, samples, n)
		}
	}
	switch behaviour {
	case "disk full":
		for line := fmt.Appendf(nil, "%d,3,request,200,OK,%s-load 1-1,true,160,136,1,0,warm,1,true,flask-1\n", begin, servers[0]); ; counted++ {
			if _, err := out.Write(line); err != nil {
				counted++ // it was sent all the same
				break
			}
		}
	case "foreign":
		for _, args := range []string{"-Ghost=127.0.0.1", "-Gport=1", "-Gthreads=2", "-Gduration=1", "-Gkeys=keys-1.txt"} {
			if !slices.Contains(os.Args, args) {
				fmt.Println("not given: " + args)
				return 1
			}
		}
		counted += 2
		fmt.Fprintf(out, "%d,3,other,302,Found,%s-a 1-1,true,160,136,1,null,-,-,-,-\n", begin, servers[0])
		fmt.Fprintf(out, "%d,3,other,200,OK,%s-a 1-1,false,160,136,1,null,-,-,-,-\n", begin, servers[0])
	case "appended":
		fmt.Fprintln(out, fakeHeader)
	case "stranger":
		fmt.Fprintf(out, "%d,3,request,200,OK,10.0.0.1:1-load 1-1,true,160,136,1,0,warm,1,true,flask-1\n", begin)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "exits early":
		return 0
	case "never ends":
		time.Sleep(time.Hour)
	}
	fmt.Printf("summary =      %d in 00:00:01 =    2.0/s Avg:     3 Min:     3 Max:     3 Err:     0 (0.00%%)\n", counted)
	fmt.Println("... end of run")
	time.Sleep(time.Hour) // as a JVM lingers
	return 0
}

// fakeLoader is a loader of fakes; its masters do as the file says.
func fakeLoader(t *testing.T, servers int) (l *Loader, behave func(string)) {
	t.Helper()
	o := fakeOptions(t, servers)
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, func(what string) { behaveAs(t, o.LogDir, what) }
}

func behaveAs(t *testing.T, dir, what string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, behaviourFile), []byte(what), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fakeOptions(t *testing.T, servers int) Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Platform: platformOf(t), Home: Home{Dir: "/nowhere"}, Java: Java{Path: exe, Keytool: "/bin/true", Version: "17"}, Count: servers, LogDir: t.TempDir(),
		Workloads: map[string]func(json.RawMessage) (load.Workload, error){"same": func(json.RawMessage) (load.Workload, error) { return always{}, nil }},
	}
}
