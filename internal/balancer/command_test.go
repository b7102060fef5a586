package balancer

import "testing"

// TestCommand wants the command of a folder with a space as one that a shell takes apart rightly.
func TestCommand(t *testing.T) {
	n := &Nginx{argv: []string{"/usr/sbin/nginx", "-p", "/tmp/my runs"}}
	if got, want := n.Command(), "/usr/sbin/nginx -p '/tmp/my runs'"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
