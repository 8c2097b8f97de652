package location

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func records() []Record {
	return []Record{
		{
			Contact: "sip:alice@192.0.2.7:5060;line=x", CallID: "c1", CSeq: 4_000_000_000, Q: 700, Instance: "<urn:uuid:1>", RegID: 7,
			Path: "<sip:edge.example.com;lr>,<sip:b;lr>", UserAgent: "snomD785/10.1.159.12", Owner: "boss",
			Network: "wss", Superseded: true, Relayed: true,
			Source: netip.MustParseAddrPort("[fe80::1%2]:40000"), Local: netip.MustParseAddrPort("192.0.2.1:5061"),
			Expires: time.Unix(1_900_000_000, 0), Registered: time.Unix(1_800_000_000, 0), Updated: time.Unix(1_800_000_100, 0),
		},
		{Contact: "sip:a", Network: "udp", Confirmed: true, Expires: time.Unix(1, 0), Registered: time.Unix(0, 0),
			Updated: time.Unix(0, 0)},
		{
			Contact: "sip:alice@[2001:db8::7]", CallID: "c2", Q: 1000, Network: "udp",
			Source: netip.MustParseAddrPort("[2001:db8::7]:5060"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"),
			Expires: time.Unix(1<<32-1, 0), Registered: time.Unix(0, 0), Updated: time.Unix(0, 0),
		},
	}
}

func encode(list []Record) []byte {
	data := []byte{recordVersion}
	var before *Record
	for i := range list {
		data = appendRecord(data, &list[i], before)
		before = &list[i]
	}
	return data
}

func TestRecords(t *testing.T) {
	list := records()
	got, err := ParseStored("alice@example.com", encode(list))
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].AOR = "alice@example.com"
	}
	if !reflect.DeepEqual(got, list) {
		t.Fatalf("got  %+v\nwant %+v", got, list)
	}
	// A field that is new and not written down would be lost.
	if n := reflect.TypeFor[Record]().NumField(); n != 19 {
		t.Errorf("a record has %d fields, and 19 of them are written", n)
	}
}

// TestStoredExpiry has the binding that lasts the longest not be the last.
func TestStoredExpiry(t *testing.T) {
	s := newStore(t, Options{})
	long, short := contact(t, "sip:a@192.0.2.7"), contact(t, "sip:b@192.0.2.7")
	short.Expires, short.Q = 60, 500
	mustUpdate(t, s, update("c", 1, long, short))
	all := wantContacts(t, s, "sip:a@192.0.2.7 sip:b@192.0.2.7")
	if _, expires := s.AppendStored(nil, all); !expires.Equal(all[0].Expires()) {
		t.Errorf("the record expires at %v, its bindings at %v and %v",
			expires, all[0].Expires(), all[1].Expires())
	}
	if data, expires := s.AppendStored(nil, nil); len(data) > 0 || !expires.IsZero() {
		t.Errorf("no bindings are stored as %q, until %v", data, expires)
	}
}

func TestDamagedRecords(t *testing.T) {
	whole := encode(records())
	ends := map[int]bool{1: true}
	for i := range records() {
		ends[len(encode(records()[:i+1]))] = true
	}
	for n := range whole {
		list, err := ParseStored("a", whole[:n])
		if (err == nil) != ends[n] {
			t.Errorf("%d of %d bytes: %d records, %v", n, len(whole), len(list), err)
		}
	}
	address, _ := records()[2].Source.MarshalBinary()
	i := bytes.Index(whole, address)
	short := slices.Delete(slices.Clone(whole), i, i+1)
	short[i-1]-- // its length
	if list, err := ParseStored("a", short); err == nil || len(list) != 2 {
		t.Errorf("an address of %d bytes: %d records, %v", len(address)-1, len(list), err)
	}
	whole[0]++
	if list, err := ParseStored("a", whole); err == nil || list != nil {
		t.Errorf("another version: %v, %v", list, err)
	}
}

// TestSharedTexts has what the Contacts of one REGISTER have in common be written once.
func TestSharedTexts(t *testing.T) {
	r := records()[0]
	r.CallID, r.Path, r.UserAgent = strings.Repeat("c", 1000), strings.Repeat("p", 1000), strings.Repeat("a", 1000)
	list := slices.Repeat([]Record{r}, 10)
	data := encode(list)
	if n := len(data); n > 3000+10*200 {
		t.Errorf("ten bindings take %d bytes", n)
	}
	if got, err := ParseStored("", data); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestOlderVersions reads what older versions have written.
func TestOlderVersions(t *testing.T) {
	list := records()
	for i := range list {
		list[i].Superseded, list[i].Confirmed, list[i].Relayed = false, false, false
	}
	withoutMarks := func(r, before *Record) []byte {
		data := appendRecord(nil, r, before)
		return data[:len(data)-1]
	}
	two := []byte{2}
	for i := range list {
		if i == 0 {
			two = append(two, withoutMarks(&list[i], nil)...)
		} else {
			two = append(two, withoutMarks(&list[i], &list[i-1])...)
		}
	}
	if got, err := ParseStored("", two); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("version 2: got %+v, %v", got, err)
	}

	one := []byte{1}
	for i := range list {
		r := &list[i]
		r.Owner = ""
		for _, text := range [...]string{r.Contact, r.CallID, r.Instance, r.Path, r.UserAgent, r.Network} {
			one = append(binary.AppendUvarint(one, uint64(len(text))), text...)
		}
		whole := withoutMarks(&Record{Source: r.Source, Local: r.Local, CSeq: r.CSeq, Q: r.Q, RegID: r.RegID,
			Expires: r.Expires, Registered: r.Registered, Updated: r.Updated}, nil)
		one = append(one, whole[7:]...) // behind texts that are empty
	}
	if got, err := ParseStored("", one); err != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("version 1: got %+v, %v", got, err)
	}
}

func FuzzParseStored(f *testing.F) {
	f.Add(encode(records()))
	f.Add([]byte{})
	f.Add([]byte{recordVersion})
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseStored("a", data)
		if err != nil {
			return
		}
		again, err := ParseStored("a", encode(list))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(list, again) {
			t.Fatalf("%+v became %+v", list, again)
		}
	})
}
