package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddysip/caddysip/storage"
)

func TestBoltDamaged(t *testing.T) {
	dir := t.TempDir()
	whole := fillBolt(t, filepath.Join(dir, "whole.db"), 2000)
	page := os.Getpagesize()
	for name, data := range map[string][]byte{
		"nothing":          {},
		"text":             []byte("hello, I am no database\n"),
		"zeros":            make([]byte, 100_000),
		"noise":            noise(100_000),
		"one page":         whole[:page],
		"two pages":        whole[:2*page],
		"cut in the pages": whole[:len(whole)/3],
		"cut at the end":   whole[:usedBytes(t, whole)-page],
		"both metas gone":  append(make([]byte, 2*page), whole[2*page:]...),
		"pages are noise":  append(bytes.Clone(whole[:2*page]), noise(len(whole)-2*page)...),
		"pages are zeros":  append(bytes.Clone(whole[:2*page]), make([]byte, len(whole)-2*page)...),
		"a tail of zeros":  zeroed(whole, usedBytes(t, whole)/2, len(whole)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sip.db")
			write(t, path, data)
			wantRefused(t, path, "damaged", "move it away")
			// Another one can take its place.
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, whole)
			b := openBolt(t, path)
			if _, err := b.Get(t.Context(), "things", "key000000"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestBoltDamagedAnywhere: whatever a disk has made of a page, the server stays up, reads what was
// written or an error, and never takes the file for an empty one.
func TestBoltDamagedAnywhere(t *testing.T) {
	whole := fillBolt(t, filepath.Join(t.TempDir(), "sip.db"), 300)
	page := os.Getpagesize()
	for name, damage := range map[string]struct {
		of   func(at int) []byte
		torn bool // what is left of the page looks like one, and bbolt has no checksums
	}{
		"noise": {func(at int) []byte {
			return append(append(bytes.Clone(whole[:at]), noise(page)...), whole[at+page:]...)
		}, false},
		"zeros":            {func(at int) []byte { return zeroed(whole, at, at+page) }, false},
		"zeros to the end": {func(at int) []byte { return zeroed(whole, at, len(whole)) }, false},
		"cut":              {func(at int) []byte { return whole[:at] }, false},
		"torn":             {func(at int) []byte { return zeroed(whole, at+page/2, at+page) }, true},
		"torn at a sector": {func(at int) []byte { return zeroed(whole, at+512, at+page) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			refused := 0
			for p := range usedBytes(t, whole) / page {
				path := filepath.Join(t.TempDir(), "sip.db")
				write(t, path, damage.of(p*page))
				b, err := OpenBolt(path)
				if err != nil {
					if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
						t.Errorf("page %d: the error does not say what to do: %v", p, err)
					}
					refused++
					continue
				}
				n := 0
				_, err = b.Range(t.Context(), "things", "", func(en storage.Entry) error {
					if n++; len(en.Value) != 100 && !damage.torn {
						return fmt.Errorf("%q has %d bytes", en.Key, len(en.Value))
					}
					return nil
				})
				if err != nil && !damage.torn || err == nil && n == 0 {
					t.Errorf("page %d: opened with %d entries, and then: %v", p, n, err)
				}
				_, _ = b.Write(t.Context(), storage.Batch{Changes: []storage.Change{{Bucket: "things", Key: "new", Value: []byte("x")}}})
				closeBolt(t, b)
			}
			if refused == 0 && !damage.torn {
				t.Error("no damage was found")
			}
		})
	}
}

// TestBoltDamagedWhileOpen: what is found later is an error each time, and no panic.
func TestBoltDamagedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	fillBolt(t, path, 1000)
	b := openBolt(t, path)
	if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := b.Get(t.Context(), "things", "key000500")
		if err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
			t.Fatalf("Get: %v", err)
		}
		if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{{Bucket: "things", Key: "a", Value: []byte("x")}}}); err == nil {
			t.Fatal("it was written to")
		}
	}
	closeBolt(t, b)
}

func TestBoltPanicsOfOthersPass(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "sip.db"))
	mustWrite(t, b, storage.Change{Bucket: "things", Key: "a", Value: []byte("x")})
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		_, _ = b.Range(t.Context(), "things", "", func(storage.Entry) error { panic("mine") })
	}()
	mustWrite(t, b, storage.Change{Bucket: "things", Key: "a", Value: []byte("y")}) // nothing is held, nothing is taken for damaged
}

// TestPowerCut: of what was being written when the power went, any part may have reached the disk;
// what was written before is there.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sip.db")
	fillBolt(t, path, 500)
	b := openBolt(t, path)
	value := func(n int) []byte { return fmt.Appendf(nil, "%0100d", n) }
	put := func(n int) []byte {
		var changes []storage.Change
		for i := 0; i < 500; i += 7 {
			changes = append(changes, storage.Change{Bucket: "things", Key: fmt.Sprintf("key%06d", i), Value: value(n)})
		}
		mustWrite(t, b, changes...)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	page := os.Getpagesize()
	random := rand.New(rand.NewPCG(1, 2))
	before := put(0)
	for n := 1; n <= 5; n++ {
		after := put(n)
		for cut := range 20 {
			data := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
			// bbolt writes the pages of data, waits for the disk, and then writes one of the two
			// first pages.
			for p := 2 * page; p < len(after); p += page {
				if cut == 0 || random.IntN(2) == 0 {
					copy(data[p:], after[p:min(p+page, len(after))])
				}
			}
			if cut == 0 { // all of the data, and a part of the first pages
				copy(data[:40], after[:40])
				copy(data[page:page+40], after[page:page+40])
			}
			copied := filepath.Join(dir, fmt.Sprintf("%d-%d.db", n, cut))
			write(t, copied, data)
			c := openBolt(t, copied)
			for i := range 500 {
				want := bytes.Repeat([]byte("v"), 100)
				if i%7 == 0 {
					want = value(n - 1)
				}
				got, err := c.Get(t.Context(), "things", fmt.Sprintf("key%06d", i))
				if err != nil || !bytes.Equal(got.Value, want) {
					t.Fatalf("write %d, cut %d: key %d has %q (%v), want %q", n, cut, i, got.Value, err, want)
				}
			}
			closeBolt(t, c)
			os.Remove(copied)
		}
		before = after
	}
}

// usedBytes returns how much of a file is in use; the rest is there for more.
func usedBytes(t *testing.T, data []byte) int {
	path := filepath.Join(t.TempDir(), "used.db")
	write(t, path, data)
	var size int64
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	return int(size)
}

// zeroed returns data in which a part has become zeros.
func zeroed(data []byte, from, to int) []byte {
	data = bytes.Clone(data)
	clear(data[from:to])
	return data
}

func noise(n int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}
