package dashboard

import (
	"net/http"
	"time"
)

const (
	// mostConnections is how many are served at once; others wait to be accepted.
	mostConnections = 512
	// answerWithin is how long anyone who asks may take to read an answer, which is held in memory for so long.
	answerWithin = time.Minute
)

// bounded gives every answer its time. It is counted from the first byte: figures may take longer to compute. A stream of events has
// deadlines of its own, which count from then on.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&timely{ResponseWriter: w}, r)
	})
}

// timely is an answer that ends when it is not read in time.
type timely struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for http.ResponseController.
func (t *timely) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *timely) Write(p []byte) (int, error) {
	if !t.begun {
		t.begun = true
		_ = http.NewResponseController(t.ResponseWriter).SetWriteDeadline(time.Now().Add(answerWithin)) // a recorder of a test has none
	}
	return t.ResponseWriter.Write(p)
}
