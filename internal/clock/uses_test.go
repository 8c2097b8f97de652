package clock

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wallReaders are the files that read the system's clock as a number, and why they may: what lives in
// the process has a Clock, or times of time.Now, which are compared by what has gone by.
var wallReaders = map[string]string{
	"internal/ratelog/ratelog.go": "a gate that is shut for too long opens",
	"internal/events/bus.go":      "the numbers of events go on after a restart",
	"internal/store/memory.go":    "what is stored ends by the system's clock",
	"internal/store/bolt.go":      "as in memory.go",
	"internal/store/boltsweep.go": "as in memory.go",
	"internal/phone/call.go":      "the number of a session description",
}

// TestNobodyElseReadsTheWallClock looks for files that are not in wallReaders.
func TestNobodyElseReadsTheWallClock(t *testing.T) {
	const root = "../.."
	reads := regexp.MustCompile(`time\.Now\(\)\.(Unix|Round)`)
	found := make(map[string]bool)
	for _, dir := range []string{"internal", "module", "handler", "wire"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err == nil && reads.Match(source) {
				name, _ := filepath.Rel(root, path)
				found[filepath.ToSlash(name)] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range found {
		if wallReaders[name] == "" {
			t.Errorf("%s reads the system's clock, which may be set: what lives in the process needs a Clock", name)
		}
	}
	for name := range wallReaders {
		if !found[name] {
			t.Errorf("%s does not read the system's clock any more", name)
		}
	}
}
