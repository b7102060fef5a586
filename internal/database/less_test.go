package database

import (
	"fmt"
	"strings"
	"testing"
)

// TestLess wants a server asked for no more than the plan leaves: nothing is counted of each lookup, and all trials share an account.
func TestLess(t *testing.T) {
	s, d := shared(t)
	ctx := t.Context()
	externalOn(t, s, "less")
	file := dsnFile(t, fmt.Sprintf("somebody:%s@tcp(127.0.0.1:%d)/less\n", canary, s.Access().Port), 0o600)
	e, err := Open(ctx, External{DSNFile: file, Less: Less{Uncounted: true, SharedAccount: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop(ctx, 0)
	if _, err := e.Fill(ctx, d, nil); err != nil {
		t.Fatal(err)
	}
	info, err := e.Info(ctx)
	if err != nil || len(info.Meanings) > 0 || info.Counter == "" || !strings.Contains(info.AccountReason, "trust.account: shared") {
		t.Errorf("%+v, %v", info, err)
	}
	if a, err := e.Account(ctx); err != nil || a.Own || a.User != e.Access().User {
		t.Errorf("%+v, %v", a, err)
	}
	for vendor, line := range map[string]string{MariaDB: "userstat = ", MySQL: "performance_schema = "} {
		if with, without := render(vendor, pinned), render(vendor, pinned, uncounted); !strings.Contains(with, line+"ON\n") || !strings.Contains(without, line+"OFF\n") {
			t.Errorf("%s: with what is counted\n%s\nwithout\n%s", vendor, with, without)
		}
	}
}
