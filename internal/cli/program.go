package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"strings"
)

// loadingProgram is the digest of the code that a calibration measures and is measured by, as it is carried (see main.go), of the modules
// that it is built with, and of the compiler. Versions of bakeoff with the same one reach the same ceiling on a machine. It is empty
// where the code is not carried.
func loadingProgram(assets fs.FS) string {
	sum, files := sha256.New(), 0
	fmt.Fprintln(sum, runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			fmt.Fprintln(sum, m.Path, m.Version, m.Sum)
		}
	}
	err := fs.WalkDir(assets, "internal", func(name string, e fs.DirEntry, err error) error { // sorted
		if err != nil || e.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(assets, name)
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, name, len(text))
		sum.Write(text)
		files++
		return nil
	})
	if err != nil || files == 0 {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
