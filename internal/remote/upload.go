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

	"bakeoff/internal/record"
)

// sizeHeader says how much of a file has arrived.
const sizeHeader = "X-Bakeoff-Size"

// arriving is the folder of the run directory of a request that arrives; it refuses what is none.
func (s *Server) arriving(r *http.Request) (string, error) {
	name := r.URL.Query().Get("run")
	if !s.o.Resume {
		return "", errors.New("this run resumes none")
	}
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is not the name of a run directory", name)
	}
	select {
	case <-s.uploaded:
		return "", errors.New("the run to resume is there already")
	default:
	}
	return filepath.Join(s.o.Root, name), nil
}

// takePiece appends a piece to a file. One that does not begin where the file ends is refused with the size that there is:
// the laptop does not know how much of a piece arrived before the connection was cut.
func (s *Server) takePiece(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.arriving(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	path := filepath.FromSlash(r.PathValue("path"))
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if err != nil || !filepath.IsLocal(path) {
		http.Error(w, "the path or the offset is not one", http.StatusBadRequest)
		return
	}
	size, err := appendAt(dir, path, offset, http.MaxBytesReader(w, r.Body, piece))
	w.Header().Set(sizeHeader, strconv.FormatInt(size, 10))
	switch {
	case errors.Is(err, errOffset):
		http.Error(w, err.Error(), http.StatusRequestedRangeNotSatisfiable)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.uploaded:
		if filepath.Base(s.upload) == r.URL.Query().Get("run") { // the answer to it was lost
			w.WriteHeader(http.StatusNoContent)
			return
		}
	default:
	}
	dir, err := s.arriving(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	run, err := record.Open(dir)
	if err == nil && len(run.Problems()) > 0 {
		err = errors.New(run.Problems()[0].String())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	s.upload = dir
	close(s.uploaded)
	w.WriteHeader(http.StatusNoContent)
}
