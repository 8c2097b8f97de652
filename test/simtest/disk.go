package simtest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"reflect"
	"sync"
	"syscall"
	"time"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"github.com/caddysip/caddysip/internal/store"
)

const sector = 512 // what a disk writes whole or not at all

// Faults are the faults of a disk. With the zero value it works, and instantly.
type Faults struct {
	Err     error         // every write fails with it: syscall.ENOSPC, syscall.EIO
	Errors  float64       // the part of the writes that fails with EIO
	Short   float64       // the part of the writes that stops half way, with ENOSPC; meta pages, which are overwritten in place, never do
	Latency time.Duration // of a write, at most
	Metas   bool          // meta pages take time too; bbolt lets nobody read meanwhile, by a mutex, so nobody may try to
}

// Disk simulates the disk under a server's storage file. The file and bbolt are real; bbolt's
// writes pass through here. bbolt syncs before and after it writes a meta page, its last write in a
// transaction: a power cut can undo the writes since the last sync.
type Disk struct {
	path string

	mu     sync.Mutex
	chance *rand.Rand
	faults Faults
	power  *power
	cuts   [3]int // writes that a power cut has kept, lost, torn
}

// power is a disk from one power cut to the next.
type power struct {
	off     bool
	gone    chan struct{} // closed when it is off
	synced  []byte        // the file as it would be at least
	pending []write
	image   []byte // what is left after the cut
}

type write struct {
	at   int64
	data []byte
}

// newDisk returns the disk for a path. Every file that bbolt opens there from now on is on it.
func newDisk(path string, chance *rand.Rand) *Disk {
	d := &Disk{path: path, chance: chance}
	store.OnOpen = func(opened string, db *bolt.DB) {
		if opened == path {
			d.open(db)
		}
	}
	return d
}

func (d *Disk) remove() { store.OnOpen = nil }

// Set sets the faults.
func (d *Disk) Set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// Heal ends all faults.
func (d *Disk) Heal() { d.Set(Faults{}) }

// Cuts returns how many unsynced writes were kept, lost and torn by power cuts.
func (d *Disk) Cuts() (kept, lost, torn int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cuts[0], d.cuts[1], d.cuts[2]
}

// open puts the disk under a database.
func (d *Disk) open(db *bolt.DB) {
	content, err := os.ReadFile(d.path)
	if err != nil {
		panic(err)
	}
	p := &power{synced: content, gone: make(chan struct{})}
	d.mu.Lock()
	d.power = p
	d.mu.Unlock()
	db.NoSync, db.NoGrowSync = true, true // no power cut is a real one
	// bbolt keeps the function that it writes with in a field that others can't see.
	field := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	writeAt := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	file := *writeAt
	metas := int64(2 * db.Info().PageSize)
	*writeAt = func(b []byte, at int64) (int, error) { return d.write(p, file, b, at, at < metas) }
}

// write writes one page or several. Half of the time that it takes is before, half after, so that a
// power cut can come when it has happened and is not synced yet.
func (d *Disk) write(p *power, file func([]byte, int64) (int, error), b []byte, at int64, meta bool) (int, error) {
	d.mu.Lock()
	wait := time.Duration(d.chance.Float64() * float64(d.faults.Latency) / 2)
	if meta && !d.faults.Metas {
		wait = 0
	}
	d.mu.Unlock()
	p.wait(wait)
	d.mu.Lock()
	n, err := d.begin(p, file, b, at, meta)
	d.mu.Unlock()
	if err != nil || !meta {
		return n, err
	}
	p.wait(wait)
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.off {
		return 0, syscall.EIO
	}
	p.sync()
	return n, nil
}

func (d *Disk) begin(p *power, file func([]byte, int64) (int, error), b []byte, at int64, meta bool) (int, error) {
	n, err := len(b), error(nil)
	switch f, luck := d.faults, d.chance.Float64(); {
	case p.off:
		return 0, syscall.EIO
	case f.Err != nil:
		return 0, f.Err
	case luck < f.Errors:
		return 0, syscall.EIO
	case luck < f.Errors+f.Short && !meta:
		n, err = len(b)/2, syscall.ENOSPC
	}
	if meta {
		p.sync()
	}
	p.pending = append(p.pending, write{at, bytes.Clone(b[:n])})
	if _, failed := file(b[:n], at); failed != nil {
		return 0, failed
	}
	return n, err
}

// wait waits for d, or until the power is cut.
func (p *power) wait(d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.gone:
	}
}

// sync makes all writes durable.
func (p *power) sync() {
	for _, w := range p.pending {
		p.synced = w.apply(p.synced, len(w.data))
	}
	p.pending = nil
}

// apply writes the first n bytes into a file.
func (w *write) apply(file []byte, n int) []byte {
	if end := int(w.at) + n; end > len(file) {
		file = append(file, make([]byte, end-len(file))...)
	}
	copy(file[w.at:], w.data[:n])
	return file
}

// cut cuts the power: each unsynced write is kept, lost or torn at random.
func (d *Disk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.power
	if p == nil || p.off {
		return
	}
	p.off = true
	close(p.gone)
	file := p.synced
	for _, w := range p.pending {
		kind := d.chance.IntN(3)
		d.cuts[kind]++
		switch kind {
		case 0:
			file = w.apply(file, len(w.data))
		case 2:
			if n := (len(w.data) + sector - 1) / sector; n > 0 {
				file = w.apply(file, min(d.chance.IntN(n)*sector, len(w.data)))
			}
		}
	}
	if info, err := os.Stat(d.path); err == nil && int(info.Size()) > len(file) {
		file = append(file, make([]byte, int(info.Size())-len(file))...) // growing is synced by itself
	}
	p.image = file
}

// restore replaces the file by what is left after a cut. Whoever still has the old one open keeps
// it.
func (d *Disk) restore() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.power == nil || d.power.image == nil {
		return
	}
	fresh := d.path + ".cut"
	if err := os.WriteFile(fresh, d.power.image, 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(fresh, d.path); err != nil {
		panic(err)
	}
	d.power = nil
}
