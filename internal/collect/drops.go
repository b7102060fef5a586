package collect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listenDrops is how many connections full listen queues of this network namespace have dropped since boot (ListenDrops in
// the lines TcpExt of /proc/net/netstat: one has the names, the next the numbers).
func (k kernel) listenDrops() (drops float64, ok bool) {
	text, err := os.ReadFile(filepath.Join(k.proc, "net", "netstat"))
	if err != nil {
		return 0, false
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] != "TcpExt:":
		case names == nil:
			names = fields
		default:
			for i, name := range names[:min(len(names), len(fields))] {
				if name == "ListenDrops" {
					drops, err = strconv.ParseFloat(fields[i], 64)
					return drops, err == nil
				}
			}
		}
	}
	return 0, false
}
