package engine

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/location"
)

func records() []location.Record {
	return []location.Record{
		{
			Contact: "sip:alice@192.0.2.7:5060;line=x", CallID: "c1", CSeq: 4_000_000_000, Q: 700, Instance: "<urn:uuid:1>", RegID: 7,
			Path: "<sip:edge.example.com;lr>,<sip:b;lr>", UserAgent: "snomD785/10.1.159.12", Network: "wss",
			Source: netip.MustParseAddrPort("[fe80::1%2]:40000"), Local: netip.MustParseAddrPort("192.0.2.1:5061"),
			Expires: time.Unix(1_900_000_000, 0), Registered: time.Unix(1_800_000_000, 0), Updated: time.Unix(1_800_000_100, 0),
		},
		{Contact: "sip:a", Network: "udp", Expires: time.Unix(1, 0), Registered: time.Unix(0, 0), Updated: time.Unix(0, 0)},
		{
			Contact: "sip:alice@[2001:db8::7]", CallID: "c2", Q: 1000, Network: "udp",
			Source: netip.MustParseAddrPort("[2001:db8::7]:5060"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"),
			Expires: time.Unix(1<<32-1, 0), Registered: time.Unix(0, 0), Updated: time.Unix(0, 0),
		},
	}
}

func encode(list []location.Record) []byte {
	data := []byte{recordVersion}
	for i := range list {
		data = appendRecord(data, &list[i])
	}
	return data
}

func TestRecords(t *testing.T) {
	list := records()
	var got []location.Record
	if err := parseRecords("alice@example.com", encode(list), func(r location.Record) error {
		got = append(got, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].AOR = "alice@example.com"
	}
	if !reflect.DeepEqual(got, list) {
		t.Fatalf("got  %+v\nwant %+v", got, list)
	}
	// A field that is new and not written down would be lost.
	if n := reflect.TypeFor[location.Record]().NumField(); n != 15 {
		t.Errorf("a record has %d fields, and 15 of them are written", n)
	}
}

func TestDamagedRecords(t *testing.T) {
	whole := encode(records())
	ends := map[int]bool{1: true}
	for i := range records() {
		ends[len(encode(records()[:i+1]))] = true
	}
	for n := range whole {
		count := 0
		err := parseRecords("a", whole[:n], func(location.Record) error { count++; return nil })
		if (err == nil) != ends[n] {
			t.Errorf("%d of %d bytes: %d records, %v", n, len(whole), count, err)
		}
	}
	whole[0]++
	if err := parseRecords("a", whole, func(location.Record) error { return fmt.Errorf("called") }); err == nil || err.Error() == "called" {
		t.Errorf("another version: %v", err)
	}
}

func FuzzParseRecords(f *testing.F) {
	f.Add(encode(records()))
	f.Add([]byte{})
	f.Add([]byte{recordVersion})
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []location.Record
		if err := parseRecords("a", data, func(r location.Record) error { list = append(list, r); return nil }); err != nil {
			return
		}
		var again []location.Record
		if err := parseRecords("a", encode(list), func(r location.Record) error { again = append(again, r); return nil }); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(list, again) {
			t.Fatalf("%+v became %+v", list, again)
		}
	})
}
