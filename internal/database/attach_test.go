package database

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"bakeoff/internal/dataset"
)

// A private server that somebody else started is filled, counted and left as one of ours: trials have accounts of their own, the
// settings of the fill are gone after it, and the plan's settings are reported.
func TestAttach(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "attach")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := newPlatform(t)
	port, err := p.Port(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := container{dir: dir, port: port}
	at.write(t)
	process := at.start(t, p)
	s, err := Attach(t.Context(), Attached{
		Container: Container{FilesDir: dir + "/files", Settings: map[string]string{"innodb-io-capacity": "500"}},
		Process:   process, Host: "127.0.0.1", Port: port, AdminPassword: "secret-admin", TargetPassword: "secret-target",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Stop(context.Background(), 0), process.Stop(context.Background(), startTimeout)); err != nil {
			t.Error(err)
		}
	})
	if err := shortLogin(t, s.Access()); err != nil {
		t.Errorf("a target that starts before the fill: %v", err)
	}
	d, err := dataset.New(dataset.Spec{Rows: 5000, Seed: 7, MinLength: 1, MaxLength: 255})
	if err != nil {
		t.Fatal(err)
	}
	filled, err := s.Fill(t.Context(), d, nil)
	if err != nil || filled.FromCache || filled.Digest != d.Digest() {
		t.Fatalf("%+v, %v", filled, err)
	}
	info, err := s.Info(t.Context())
	if err != nil || info.Kind != KindPrivate || info.AccountReason != "" || info.MovesReason != "" || info.MaxConnections != 20+reserved {
		t.Errorf("%+v, %v", info, err)
	}
	for name, want := range map[string]string{"local_infile": "OFF", "innodb_flush_log_at_trx_commit": "2"} {
		if got := info.Settings[name]; got != want {
			t.Errorf("%s is %s after the fill, want %s", name, got, want)
		}
	}
	if info.Settings["innodb_io_capacity"] == "" || !strings.Contains(info.Command, "start.sh") || s.Process() != process {
		t.Errorf("%+v", info)
	}
	a, err := s.Account(t.Context())
	if err != nil || !a.Own || a.Host != "127.0.0.1" || a.Port != port {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := s.Opens(t.Context(), a); err != nil {
		t.Error(err)
	}
	if err := s.Retire(t.Context(), a); err != nil {
		t.Error(err)
	}
	countExactly(t, s, d)
}

// A server that ends instead of answering is not waited for.
func TestAttachToAnEnded(t *testing.T) {
	p := newPlatform(t)
	dir := t.TempDir()
	at := container{dir: dir, port: 1}
	process := at.start(t, p) // without its files
	_, err := Attach(t.Context(), Attached{
		Container: Container{FilesDir: dir + "/files"}, Process: process, Host: "127.0.0.1", Port: 1, AdminPassword: "a", TargetPassword: "b",
	})
	if err == nil || !strings.Contains(err.Error(), "ended while starting") {
		t.Errorf("%v", err)
	}
}
