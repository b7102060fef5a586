package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"bakeoff/internal/record"
)

// sizeHeader says how much of a file has arrived.
const sizeHeader = "X-Bakeoff-Size"

// errRefused is wrapped by errors about a run to resume that is not wanted.
var errRefused = errors.New("nothing is taken in")

// IsRunName reports whether a name from the other side is that of a run directory, which leads nowhere else: one part of a path,
// and none of the hidden ones.
func IsRunName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, `/\`)
}

// arriving is the folder of the run directory of a request that arrives; it refuses what is none. The caller holds arrival.
func (s *Server) arriving(r *http.Request) (string, error) {
	name := r.URL.Query().Get("run")
	switch {
	case !s.o.Resume:
		return "", fmt.Errorf("%w: this run resumes none", errRefused)
	case s.upload != "":
		return "", fmt.Errorf("%w: the run to resume is there already", errRefused)
	case !IsRunName(name):
		return "", fmt.Errorf("%w: %q is not the name of a run directory", errRefused, name)
	}
	return filepath.Join(s.o.Root, name), nil
}

// takePiece appends a piece to a file. One that does not begin where the file ends is refused with the size that there is:
// the laptop does not know how much of a piece arrived before the connection was cut.
func (s *Server) takePiece(w http.ResponseWriter, r *http.Request) {
	path := filepath.FromSlash(r.PathValue("path"))
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if err != nil || !filepath.IsLocal(path) {
		http.Error(w, "the path or the offset is not one", http.StatusBadRequest)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(silence)) // who can have none is a test
	size, err := s.keepPiece(r, path, offset, http.MaxBytesReader(w, r.Body, piece))
	w.Header().Set(sizeHeader, strconv.FormatInt(size, 10))
	switch {
	case errors.Is(err, errRefused):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, errOffset):
		http.Error(w, err.Error(), http.StatusRequestedRangeNotSatisfiable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// keepPiece keeps a piece of the run that arrives; one at a time.
func (s *Server) keepPiece(r *http.Request, path string, offset int64, body io.Reader) (int64, error) {
	s.arrival.Lock()
	defer s.arrival.Unlock()
	dir, err := s.arriving(r)
	if err != nil {
		return 0, err
	}
	return appendAt(dir, path, offset, body)
}

var errOffset = errors.New("the file has another size")

// appendAt appends to a file below dir, which it makes, and returns its size.
func appendAt(dir, path string, offset int64, body io.Reader) (size int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close() // its files are closed on their own
	if err := root.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, err
	}
	file, err := root.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() != offset {
		return info.Size(), errOffset
	}
	n, err := io.Copy(file, body)
	return offset + n, err
}

// takeWhole takes the run that has arrived, if everything in it is proven.
func (s *Server) takeWhole(w http.ResponseWriter, r *http.Request) {
	switch err := s.keepWhole(r); {
	case errors.Is(err, errRefused):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Server) keepWhole(r *http.Request) error {
	s.arrival.Lock()
	defer s.arrival.Unlock()
	if s.upload != "" && filepath.Base(s.upload) == r.URL.Query().Get("run") {
		return nil // the answer to it was lost
	}
	dir, err := s.arriving(r)
	if err != nil {
		return err
	}
	run, err := record.Open(dir)
	if err != nil {
		return err
	}
	if damage := run.Problems(); len(damage) > 0 {
		return errors.New(damage[0].String())
	}
	s.upload = dir
	close(s.uploaded)
	return nil
}
