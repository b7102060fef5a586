package controller

import (
	"context"
	"fmt"

	"bakeoff/internal/record"
)

// hold leaves everything of a trial running until the user interrupts, and
// says how each process can be started manually.
func (t *trial) hold(ctx context.Context) {
	lines := []string{fmt.Sprintf("block %d, %s is left running until you interrupt; its logs are in %s", t.rec.Block, t.rec.Target, t.writer.LogDir())}
	lines = append(lines, t.d.manualCommands()...)
	for _, line := range lines {
		t.run.o.tell(record.Progress{Text: line, Lasting: true, Verbatim: true})
	}
	<-ctx.Done()
}
