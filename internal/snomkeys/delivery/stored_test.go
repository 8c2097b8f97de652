package delivery

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/caddysip/caddysip/internal/clock"
)

func FuzzStored(f *testing.F) {
	u := &user{aor: alice, leftovers: []leftover{{device: 5, at: 7, keys: []uint16{3, 4}}}}
	u.phones = []*phone{
		{user: u, id: 1, since: 2, agent: 3, status: 415, unsupported: true},
		{user: u, id: 1 << 63, since: 5, agent: 6, known: true, keys: []keyState{{9, 10, 1, 200}, {11, 12, 999, 404}}},
	}
	d := &Delivery{clock: clock.New(), users: map[string]*user{alice: u}}
	seed, _ := d.appendUser(nil, alice)
	for i := range seed {
		f.Add(seed[:i])
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := parseUser(alice, data)
		if err != nil {
			return
		}
		// What was read is written as something that reads the same.
		d := &Delivery{clock: clock.New(), users: map[string]*user{alice: u}}
		first, _ := d.appendUser(nil, alice)
		if u, err = parseUser(alice, first); err != nil {
			t.Fatal(err)
		}
		d.users[alice] = u
		if second, _ := d.appendUser(nil, alice); !bytes.Equal(first, second) {
			t.Errorf("%x is written again as %x", first, second)
		}
	})
}

func TestStored(t *testing.T) {
	want := &user{aor: alice}
	want.phones = []*phone{{id: 1, since: 2, agent: 3, status: 501, unsupported: true, known: true, device: 9,
		displaced: 10, keys: []keyState{{9, 10, 1, 200}}}}
	want.leftovers = []leftover{{device: 1 << 63, at: 1 << 31, keys: []uint16{999}},
		{device: 7, at: 1 << 31, keys: []uint16{1, 2}}}
	d := &Delivery{clock: clock.New(), users: map[string]*user{alice: want}}
	data, expires := d.appendUser(nil, alice)
	if !expires.IsZero() {
		t.Errorf("it expires at %v", expires)
	}
	got, err := parseUser(alice, data)
	if err != nil {
		t.Fatal(err)
	}
	p, q := got.phones[0], want.phones[0]
	if p.user != got || p.id != q.id || p.since != q.since || p.agent != q.agent || p.status != q.status ||
		!p.unsupported || !p.known || p.keys[0] != q.keys[0] || p.device != q.device || p.displaced != q.displaced ||
		!reflect.DeepEqual(got.leftovers, want.leftovers) {
		t.Errorf("%+v %+v", got, p)
	}
	for i := range data {
		if _, err := parseUser(alice, data[:i]); err == nil {
			t.Errorf("%d bytes of %d are taken", i, len(data))
		}
	}
	data[0]++
	if _, err := parseUser(alice, data); err == nil {
		t.Error("a newer version is taken")
	}
}

// TestStoredBefore reads what was stored before there were devices.
func TestStoredBefore(t *testing.T) {
	d := &Delivery{clock: clock.New()}
	data := []byte{storedBefore, 1, storedKnown}
	for _, n := range [...]uint64{1, 2, 3} {
		data = binary.BigEndian.AppendUint64(data, n)
	}
	data = binary.AppendUvarint(data, 200)
	data = d.appendKeys(data, []keyState{{9, 10, 1, 200}})
	data = d.appendKeys(data, []keyState{{at: 7, key: 4}, {at: 9, key: 5}})
	u, err := parseUser(alice, data)
	if err != nil {
		t.Fatal(err)
	}
	if p := u.phones[0]; !p.known || p.id != 1 || p.status != 200 || len(p.keys) != 1 || p.device != 0 {
		t.Errorf("%+v", p)
	}
	if want := []leftover{{at: 9, keys: []uint16{4, 5}}}; !reflect.DeepEqual(u.leftovers, want) {
		t.Errorf("%+v", u.leftovers)
	}
}
