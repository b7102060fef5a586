package controller

import (
	"context"
	"fmt"
	"strings"
)

// hold leaves everything of a trial running until the user interrupts, and
// says how each process can be started by hand.
func (t *trial) hold(ctx context.Context) {
	lines := []string{fmt.Sprintf("block %d, %s is left running until you interrupt; its logs are in %s", t.rec.Block, t.rec.Target, t.writer.LogDir())}
	if len(t.d.urls) > 0 {
		lines = append(lines, "loaded at "+strings.Join(t.d.urls, ", "))
	}
	lines = append(lines, t.run.stage.command)
	lines = append(lines, t.d.commands()...)
	for _, line := range lines {
		t.run.o.tell(Event{Text: line, Lasting: true, Verbatim: true})
	}
	<-ctx.Done()
}
