package engine

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/location"
)

func records() []location.Record {
	return []location.Record{
		{
			AOR: "alice@example.com", Contact: "sip:alice@192.0.2.7:5060;line=x", CallID: "call-1", CSeq: 1<<31 - 1, Q: 375, Instance: `"<urn:uuid:1>"`, RegID: 2,
			Path: "<sip:p@h;lr>,<sip:q@h;lr>", UserAgent: "snomD785/10.1.159.12", Network: "tcp",
			Source: netip.MustParseAddrPort("[fe80::1%2]:40000"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"),
			Expires: time.Unix(1<<32-1, 0), Registered: time.Unix(1_700_000_000, 0), Updated: time.Unix(1_700_000_001, 0),
		},
		{
			AOR: "alice@example.com", Contact: "sip:h", CallID: "c", Network: "udp",
			Source: netip.MustParseAddrPort("192.0.2.7:1"), Local: netip.MustParseAddrPort("192.0.2.10:5060"),
			Expires: time.Unix(1, 0), Registered: time.Unix(0, 0), Updated: time.Unix(0, 0),
		},
	}
}

func read(data []byte) (all []location.Record, err error) {
	err = parseRecords("alice@example.com", data, func(r location.Record) error {
		all = append(all, r)
		return nil
	})
	return all, err
}

func TestRecords(t *testing.T) {
	want := records()
	data := []byte{recordVersion}
	ends := map[int]bool{1: true}
	for i := range want {
		data = appendRecord(data, &want[i])
		ends[len(data)] = true
	}
	got, err := read(data)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for n := range len(data) {
		if _, err := read(data[:n]); (err == nil) != ends[n] {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := read(append([]byte{recordVersion + 1}, data[1:]...)); err == nil {
		t.Error("another version is read")
	}
}

func FuzzRecords(f *testing.F) {
	data := []byte{recordVersion}
	for _, r := range records() {
		data = appendRecord(data, &r)
		f.Add(data)
	}
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := read(data)
		if err != nil {
			return
		}
		out := []byte{recordVersion}
		for i := range all {
			out = appendRecord(out, &all[i])
		}
		again, err := read(out)
		if err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%+v became %+v, %v", all, again, err)
		}
	})
}
