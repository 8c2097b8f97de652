package module_test

import "testing"

// TestRetransmission has two handlers ask about each request: both get the same answer.
func TestRetransmission(t *testing.T) {
	p := start(t, "act repeated\nact repeated\nact answer done").UDP()
	for i, want := range []string{"false, false", "true, true", "true, true"} {
		p.Send(request("MESSAGE", "sip:bob@example.com", "{branch}", "z9hG4bK-same"))
		p.Expect("SIP/2.0 202 done")
		if got := notes.take(); got != want {
			t.Errorf("request %d: the handlers got %s, want %s", i, got, want)
		}
	}
	p.Send(request("MESSAGE", "sip:bob@example.com", "{branch}", "z9hG4bK-other"))
	p.Expect("SIP/2.0 202 done")
	if got := notes.take(); got != "false, false" {
		t.Errorf("another request: the handlers got %s", got)
	}
}
