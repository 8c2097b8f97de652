package wire

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, raw := range tortureFiles(f) {
		f.Add(raw)
	}
	f.Add(register)
	f.Add(invite)
	f.Add(request("Via: SIP/2.0/UDP a;rport=1;received=b , SIP/2.0/UDP b,", "+v:SIP/2.0/TCP c", "+Route: ,<sip:a>, b;c=\"d,e\""))
	reused := new(Message)
	f.Fuzz(func(t *testing.T, raw []byte) { checkParse(t, reused, raw) })
}

// FuzzHeader spends its time on the header fields that matter.
func FuzzHeader(f *testing.F) {
	f.Add("SIP/2.0/UDP h;rport;branch=z9hG4bK1", "<sip:a@b>;tag=1", "sip:c", "Route: <sip:d>, <sip:e>\r\n")
	f.Add("SIP/2.0/UDP [::1]:5060 ;received=1.2.3.4; rport = 1,SIP/2.0/TCP b;x=\"y,z\"", "\"A, \\\"B\" <sip:a@b>", "C<sip:c>;tag=2", "v: SIP / 2.0 / UDP\r\n x\r\nl:0\r\n")
	f.Add(",", "", "*", "Route: ,\nvia:\n")
	reused := new(Message)
	f.Fuzz(func(t *testing.T, via, from, to, extra string) {
		checkParse(t, reused, []byte("INVITE sip:x SIP/2.0\r\nVia:"+via+"\r\nFrom: "+from+"\r\nTo: "+to+"\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"+extra+"\r\nbody"))
	})
}

// checkParse parses raw and wants what is accepted to survive what a server does with it.
func checkParse(t *testing.T, reused *Message, raw []byte) {
	raw = bytes.Clone(raw)
	before := bytes.Clone(raw)
	m := new(Message)
	err := m.Parse(raw)
	if err2 := reused.Parse(before); (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
		t.Fatalf("%v, and %v with a message that was used before", err, err2)
	}
	readAll(t, m)
	if err != nil {
		var perr *ParseError
		if !errors.As(err, &perr) {
			t.Fatalf("%T", err)
		}
		m.AppendResponse(nil, perr.Status, perr.Reason, anySource, &ResponseOptions{ToTag: []byte("t")})
		return
	}
	// What we write has more lines and parameters than what we read, and may be more than we would
	// read.
	if len(m.headers) > MaxHeaders-8 || len(m.Raw) > MaxSize-1000 || bytes.Count(m.Raw[:m.body], []byte{';'}) > MaxParams-4 {
		return
	}
	if m.IsResponse {
		checkRelay(t, m)
		return
	}
	checkResponse(t, m)
	checkForward(t, m)
	checkDerived(t, m)
}

// readAll reads everything that can be read, of a message that was accepted or not.
func readAll(t *testing.T, m *Message) {
	within := func(what string, b []byte) {
		if len(b) > 0 && !bytes.Contains(m.Raw, b) {
			t.Fatalf("%s is not a part of the message: %q", what, b)
		}
	}
	within("method", m.MethodName())
	within("uri", m.RequestURI())
	within("reason", m.Reason())
	within("body", m.Body())
	within("tag", m.FromTag())
	within("tag", m.ToTag())
	for _, b := range [][]byte{m.Via.Transport, m.Via.Host, m.Via.Params, m.Via.Branch, m.Via.Received, m.Via.RPort, m.Via.MAddr} {
		within("Via", b)
	}
	lines := 0
	m.All(func(id HeaderID, name, value []byte) bool {
		lines++
		within("name", name)
		within("value", value)
		if bytes.ContainsAny(name, "\r\n") || bytes.ContainsAny(value, "\r\n") {
			t.Fatalf("a line end in %q: %q", name, value)
		}
		found := false
		for it := m.Lines(string(name)); it.Next(); {
			start, end := it.Span()
			if !bytes.Contains(m.Raw[start:end], it.Value()) || m.Raw[end-1] != '\n' {
				t.Fatalf("line %q has value %q", m.Raw[start:end], it.Value())
			}
			found = found || bytes.Equal(it.Value(), value)
		}
		if !found {
			t.Fatalf("no line %q", name)
		}
		return true
	})
	if lines > MaxHeaders {
		t.Fatal("too many lines")
	}
	for id := HeaderID(1); id < numHeaderIDs; id++ {
		for v := m.Values(id); v.Next(); {
			if a, err := ParseNameAddr(v.Value()); err == nil {
				_, _ = ParseURI(a.URI)
			}
			within("value", v.Value())
		}
	}
	_, _ = m.Expires()
	m.Answerable()
	clone := new(Message)
	m.Clone(clone)
	if !bytes.Equal(clone.Raw, m.Raw) || !bytes.Equal(clone.Via.Branch, m.Via.Branch) || !bytes.Equal(clone.Via.Host, m.Via.Host) ||
		!bytes.Equal(clone.Via.Params, m.Via.Params) {
		t.Fatalf("the clone differs: %+v", clone.Via)
	}
	var e Edits
	if got := e.Append(nil, m.Raw); !bytes.Equal(got, m.Raw) {
		t.Fatal("no edits changed something")
	}
}

func values(m *Message, id HeaderID) (out [][]byte) {
	for v := m.Values(id); v.Next(); {
		out = append(out, v.Value())
	}
	return out
}

func reparse(t *testing.T, raw []byte) *Message {
	t.Helper()
	m := new(Message)
	if err := m.Parse(raw); err != nil {
		t.Fatalf("what was written cannot be read: %v\n%q", err, raw)
	}
	return m
}

func same(t *testing.T, a, b *Message, ids ...HeaderID) {
	t.Helper()
	for _, id := range ids {
		if !bytes.Equal(a.Header(id), b.Header(id)) {
			t.Fatalf("%v: %q became %q", id, a.Header(id), b.Header(id))
		}
	}
}

// checkStamped wants b to have the Vias of a from the given one on, the first of those with the
// source's address.
func checkStamped(t *testing.T, a, b *Message, skip int) {
	t.Helper()
	was, is := values(a, Via), values(b, Via)[skip:]
	if len(was) != len(is) {
		t.Fatalf("%d Vias became %d", len(was), len(is))
	}
	for i := range was {
		if i > 0 && !bytes.Equal(was[i], is[i]) {
			t.Fatalf("Via %q became %q", was[i], is[i])
		}
	}
	top, err := ParseVia(is[0])
	if err != nil {
		t.Fatalf("%q: %v", is[0], err)
	}
	if !bytes.Equal(top.Branch, a.Via.Branch) || !bytes.Equal(top.Host, a.Via.Host) || top.HasRPort != a.Via.HasRPort ||
		top.HasRPort && string(top.RPort) != "1024" || len(top.Received) > 0 && string(top.Received) != "198.51.100.7" {
		t.Fatalf("%q became %q", was[0], is[0])
	}
	addr, ok := HostAddr(top.Host)
	if top.Received == nil && (!ok || addr != anySource.Addr()) {
		t.Fatalf("no received: %q", is[0])
	}
}

func checkResponse(t *testing.T, m *Message) {
	o := ResponseOptions{ToTag: []byte("ours"), RecordRoute: true}
	res := reparse(t, m.AppendResponse(nil, 200, "OK", anySource, &o))
	same(t, m, res, CallID, CSeq, From, RecordRoute)
	checkStamped(t, m, res, 0)
	if want := m.ToTag(); !bytes.Equal(res.FromTag(), m.FromTag()) || want != nil && !bytes.Equal(res.ToTag(), want) || want == nil && string(res.ToTag()) != "ours" {
		t.Fatalf("tags %q %q became %q %q", m.FromTag(), m.ToTag(), res.FromTag(), res.ToTag())
	}
	if res.Status != 200 || res.CSeq != m.CSeq || res.Method != m.Method || !bytes.Equal(res.MethodName(), m.MethodName()) || len(res.Body()) != 0 {
		t.Fatalf("%+v", res)
	}
}

func checkForward(t *testing.T, m *Message) {
	var e Edits
	e.PushHeader(m, Via)
	e.Text = append(e.Text, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours\r\n"...)
	e.StampVia(m, anySource)
	e.PushHeader(m, RecordRoute)
	e.Text = append(e.Text, "Record-Route: <sip:192.0.2.1;lr>\r\n"...)
	e.DecrementMaxForwards(m)
	e.SetRequestURI(m, []byte("sip:x"))
	e.PopValue(m, Route)
	e.AddHeader(m, "X-Own", "y")
	e.EnsureContentLength(m)
	fwd := reparse(t, e.Append(nil, m.Raw))
	same(t, m, fwd, CallID, CSeq, From, To, Contact)
	checkStamped(t, m, fwd, 1)
	if string(fwd.Via.Branch) != "z9hG4bKours" || string(fwd.RequestURI()) != "sip:x" || !bytes.Equal(fwd.Body(), m.Body()) {
		t.Fatalf("%+v", fwd)
	}
	if want := m.MaxForwards - 1; fwd.MaxForwards != max(want, 0) && (m.MaxForwards != -1 || fwd.MaxForwards != 70) {
		t.Fatalf("Max-Forwards %d became %d", m.MaxForwards, fwd.MaxForwards)
	}
	was, is := values(m, Route), values(fwd, Route)
	if len(was) > 0 && len(is) != len(was)-1 || len(is) > 0 && !bytes.Equal(bytes.Join(was[1:], []byte{'|'}), bytes.Join(is, []byte{'|'})) {
		t.Fatalf("Route %q became %q", was, is)
	}
	// A response to what was forwarded comes back to the client.
	res := reparse(t, fwd.AppendResponse(nil, 200, "OK", anySource, &ResponseOptions{}))
	checkRelay(t, res)
	e.Reset()
	e.PopValue(res, Via)
	back := reparse(t, e.Append(nil, res.Raw))
	checkStamped(t, m, back, 0)
	e.Reset()
	e.PopLastValue(fwd, Via)
	e.DeleteHeader(fwd, "x-own")
	e.DeleteHeader(fwd, "record-route")
	cut := reparse(t, e.Append(nil, fwd.Raw))
	if len(values(cut, Via)) != len(values(fwd, Via))-1 || cut.Has(RecordRoute) || cut.Lines("X-Own").next != 0 {
		t.Fatalf("%q became %q", fwd.Raw, cut.Raw)
	}
}

// checkRelay does with a response what a proxy does.
func checkRelay(t *testing.T, m *Message) {
	was := values(m, Via)
	if len(was) < 2 {
		return
	}
	if _, err := ParseVia(was[1]); err != nil {
		return
	}
	var e Edits
	e.PopValue(m, Via)
	e.EnsureContentLength(m)
	back := reparse(t, e.Append(nil, m.Raw))
	same(t, m, back, CallID, CSeq, From, To)
	if is := values(back, Via); len(is) != len(was)-1 || !bytes.Equal(bytes.Join(was[1:], []byte{'|'}), bytes.Join(is, []byte{'|'})) {
		t.Fatalf("Via %q became %q", was, is)
	}
}

func checkDerived(t *testing.T, m *Message) {
	res := reparse(t, m.AppendResponse(nil, 486, "Busy Here", anySource, &ResponseOptions{ToTag: []byte("ours")}))
	for _, raw := range [][]byte{m.AppendACK(nil, res), m.AppendCANCEL(nil, []byte("Reason: SIP;cause=200\r\n"))} {
		d := reparse(t, raw)
		same(t, m, d, CallID, From, Route)
		if vias := values(d, Via); len(vias) != 1 || !bytes.Equal(vias[0], values(m, Via)[0]) || d.CSeq != m.CSeq || !bytes.Equal(d.RequestURI(), m.RequestURI()) {
			t.Fatalf("%q", raw)
		}
	}
	same(t, reparse(t, m.AppendACK(nil, res)), res, To)
}

func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"sip:alice:pw@example.com:5060;transport=tcp;lr?a=b&c=d", "sips:[2001:db8:::192.0.2.1]:1", "tel:+1;x=y", "sip:%61;x@h;%6Cr", "urn:x", "sip:a@[::1]"} {
		f.Add([]byte(s), []byte("sip:a@h;lr"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		u, err := ParseURI(a)
		if err != nil {
			// Whatever is written as a URI cannot leave its place.
			if bytes.ContainsAny(AppendURI(nil, a), "\r\n \t<>\"\x00") {
				t.Fatalf("%q", AppendURI(nil, a))
			}
			return
		}
		if !bytes.Equal(AppendURI(nil, a), a) {
			t.Fatalf("%q changed to %q", a, AppendURI(nil, a))
		}
		if u.Scheme == SIP || u.Scheme == SIPS {
			if len(u.Host) == 0 || u.User != nil && len(u.User) == 0 {
				t.Fatalf("%+v", u)
			}
			HostAddr(u.Host)
			u.AppendAOR(nil)
		}
		n := 0
		for it := ParamsOf(u.Params); it.Next() && n < 100; n++ {
			if _, ok := u.Param(string(it.Name)); !ok {
				t.Fatalf("no parameter %q", it.Name)
			}
		}
		if !EqualURI(&u, &u) && !conflicting(u.Params) {
			t.Fatalf("%q is not equal to itself", a)
		}
		if v, err := ParseURI(b); err == nil && EqualURI(&u, &v) != EqualURI(&v, &u) && !conflicting(u.Params) && !conflicting(v.Params) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

// conflicting tells whether a parameter is there more than once.
func conflicting(params []byte) bool {
	for it := ParamsOf(params); it.Next(); {
		for rest := ParamsOf(it.rest); rest.Next(); {
			if equalUnescaped(it.Name, rest.Name, true) {
				return true
			}
		}
	}
	return false
}

func FuzzParseNameAddr(f *testing.F) {
	for _, s := range []string{`"A \"B\"" <sip:a@b>;tag="x;y"`, "sip:a@b;q=1", "A <sip:b>", "*", "<sip:a;b?c=d>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		a, err := ParseNameAddr(v)
		if err != nil {
			return
		}
		if len(a.URI) == 0 || !bytes.Contains(v, a.URI) || len(a.Params) > 0 && a.Params[0] != ';' || bytes.IndexByte(a.URI, '>') >= 0 && a.Display != nil {
			t.Fatalf("%q %q %q", a.Display, a.URI, a.Params)
		}
		// A tag at the end is found as one more parameter.
		if _, ok := Param(a.Params, "tag"); !ok {
			tagged, err := ParseNameAddr(append(bytes.Clone(v), ";tag=ours"...))
			if tag, _ := Param(tagged.Params, "tag"); err != nil || string(tag) != "ours" {
				t.Fatalf("with a tag %q: %v", tag, err)
			}
		}
		Unquote(a.Display)
	})
}

func FuzzParseVia(f *testing.F) {
	for _, s := range []string{"SIP/2.0/UDP a:1;branch=z9hG4bKx;rport;received=1.2.3.4;maddr=x", "SIP / 2.0 / WSS [::1] : 5 ; x = \"y;z\"", "SIP/2.0/UDP h;"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVia(b)
		if err != nil {
			return
		}
		if len(v.Transport) == 0 || len(v.Host) == 0 || v.HasRPort != (v.rport.end > 0) || v.HasRPort && b[v.rport.start] != ';' ||
			v.received.end > 0 && b[v.received.start] != ';' {
			t.Fatalf("%+v", v)
		}
		for name, want := range map[string][]byte{"branch": v.Branch, "received": v.Received, "rport": v.RPort, "maddr": v.MAddr} {
			if got, ok := Param(v.Params, name); !bytes.Equal(got, want) || !ok && want != nil {
				t.Fatalf("%s: %q, not %q", name, want, got)
			}
		}
		copied := v
		other := bytes.Clone(b)
		copied.move(other)
		clear(b)
		if w, err := ParseVia(other); err != nil || !bytes.Equal(w.Host, copied.Host) || !bytes.Equal(w.Branch, copied.Branch) || !bytes.Equal(w.Params, copied.Params) {
			t.Fatalf("moved: %+v", copied)
		}
	})
}

func FuzzParams(f *testing.F) {
	f.Add([]byte(`;a;b=c ; d = "e;\"f" ;;g=`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for it := ParamsOf(b); it.Next(); n++ {
			if len(it.Name) == 0 || !bytes.Contains(b, it.Name) || !bytes.Contains(b, it.Value) || n > len(b) {
				t.Fatalf("%q=%q", it.Name, it.Value)
			}
			if n < 50 {
				if _, ok := Param(b, string(it.Name)); !ok {
					t.Fatalf("no %q", it.Name)
				}
			}
			Unquote(it.Value)
		}
	})
}
