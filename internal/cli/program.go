package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
)

// programParts are the folders with the code that a calibration measures: the agents, and the server that answers them.
func programParts() []string {
	return []string{"internal/fleet", "internal/load", "internal/null", "internal/splitmix", "internal/stats"}
}

// loadingProgram is the digest of the code that loads, and of the compiler. Versions of bakeoff with the same one reach the same
// ceiling on a machine. It is empty where the code is not carried.
func loadingProgram(assets fs.FS) string {
	sum, files := sha256.New(), 0
	fmt.Fprintln(sum, runtime.Version())
	for _, part := range programParts() {
		entries, err := fs.ReadDir(assets, part) // sorted
		if err != nil {
			return ""
		}
		for _, e := range entries {
			if e.IsDir() || path.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			text, err := fs.ReadFile(assets, path.Join(part, e.Name()))
			if err != nil {
				return ""
			}
			fmt.Fprintln(sum, part, e.Name(), len(text))
			sum.Write(text)
			files++
		}
	}
	if files == 0 {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
