package jmeter

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bakeoff/internal/fleet"
)

// A disk without room is named: a master says nothing of rows that it could not write.
func TestFullDiskIsNamed(t *testing.T) {
	o := fakeOptions(t, 1)
	if err := unix.Mount("tmpfs", o.LogDir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("SKIPPED: no small disk can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(o.LogDir, unix.MNT_DETACH) })
	behaveAs(t, o.LogDir, "disk full")
	l, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	report, err := l.Run(t.Context(), taskOf("full"), func(fleet.Snapshot) {})
	if err != nil || len(report.Lost) != 1 || !strings.Contains(report.Lost[0].Why, "the disk of "+o.LogDir+" is full") {
		t.Errorf("%+v, %v", report.Lost, err)
	}
}
