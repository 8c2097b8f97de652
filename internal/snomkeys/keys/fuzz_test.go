package keys

import "testing"

// FuzzDecode: what can be read from a storage is valid, and is the same after it was packed, stored
// and read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"keys":[{"layer":"admin","key":2,"light":"on","color":"red","label":"Front desk","number":"9","action":"invite","locked":true}]}`,
		`{"version":1,"keys":[{"layer":"user","key":12,"label":"ä\u2028","expires":946688400000},{"layer":"event","key":12,"expires":-1}]}`,
		`{"version":2}`, `{"version":0,"keys":null}`, `[]`, `{"version":1,"keys":[{}]}`, `{"version":1e0,"keys":[{"layer":null,"key":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	s := New(Options{})
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, value []byte) {
		records, err := s.decode(value)
		if err != nil {
			return
		}
		for i := range records {
			if err := records[i].Validate(); err != nil || records[i].Layer == Profile || records[i].Layer > Event {
				t.Fatalf("%+v: %v", records[i], err)
			}
			if i > 0 && order(records[i-1], records[i]) >= 0 {
				t.Fatalf("out of order: %+v", records)
			}
		}
		p := pack(records)
		var unpacked []Stored
		for r := range p.all() {
			unpacked = append(unpacked, r)
		}
		if pack(unpacked) != p {
			t.Fatalf("packed %+v, unpacked %+v", records, unpacked)
		}
		c, err := s.encode(alice, unpacked)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			if c.Value != nil {
				t.Fatalf("nothing is stored as %s", c.Value)
			}
			return
		}
		again, err := s.decode(c.Value)
		if err != nil || pack(again) != p {
			t.Fatalf("%s: %v, %+v, before %+v", c.Value, err, again, records)
		}
	})
}
