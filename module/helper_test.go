package module_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&act{})
}

// act is a handler that does what its arguments say.
type act struct {
	What []string `json:"what"`
}

func (*act) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.act", New: func() caddy.Module { return new(act) }}
}

func (a *act) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	a.What = d.RemainingArgs()
	return nil
}

func (a *act) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if r.Is("OPTIONS") {
		return next(w, r) // those are the test's own
	}
	switch a.What[0] {
	case "panic":
		panic("secret of the house")
	case "fail":
		return module.HandlerError{Status: 403, Reason: a.What[1], Err: errors.New("secret of the house")}
	case "break":
		return errors.New("secret of the house")
	case "answer": // and go on
		if err := module.Respond(w, 202, a.What[1]); err != nil {
			return err
		}
	case "again":
		if err := module.Respond(w, 200, "again"); err == nil {
			return errors.New("two answers were possible")
		}
	case "ring":
		if err := module.Respond(w, 180, ""); err == nil {
			return errors.New("what is no INVITE rings")
		}
	case "later": // the rest of the chain, on another goroutine
		r.Go(w, "test", func() error { return next(w, r) })
		return nil
	case "note":
		notes.add(strings.Join(a.What[1:], " "))
	case "var":
		v, _ := r.Var(a.What[1]).(string)
		r.SetVar(a.What[1], v+a.What[2])
	case "tell": // a text with placeholders is the answer's reason
		return module.Respond(w, 200, r.Replace(a.What[1]))
	case "field":
		r.LogField(a.What[1], a.What[2])
	case "append":
		r.LogField(a.What[1], r.Replace(a.What[2]))
	case "repeated":
		notes.add(strconv.FormatBool(r.Retransmission()))
	case "user":
		r.SetAuthUser(a.What[1])
	case "hold": // answer when the test says so
		r.Keep()
		holds <- held{w, r}
		return nil
	}
	return next(w, r)
}

// held is a request that is answered by the test.
type held struct {
	w module.ResponseWriter
	r *module.Request
}

var holds = make(chan held, 10)

// notes is what handlers have noted.
var notes noteList

type noteList struct {
	sync.Mutex
	list []string
}

func (n *noteList) add(s string) {
	n.Lock()
	defer n.Unlock()
	n.list = append(n.list, s)
}

func (n *noteList) take() string {
	n.Lock()
	defer n.Unlock()
	all := strings.Join(n.list, ", ")
	n.list = nil
	return all
}

// request is a request of any method to a URI. Edits are pairs of a text and what replaces it.
func request(method, uri string, edits ...string) string {
	return strings.NewReplacer(edits...).Replace(method + " " + uri + " SIP/2.0\n" +
		"Via: SIP/2.0/{transport} {me};branch={branch};rport\n" +
		"Max-Forwards: 70\n" +
		"From: \"Alice\" <sip:alice@example.com>;tag=f1\n" +
		"To: <sip:bob@example.com>\n" +
		"Call-ID: call-1\n" +
		"CSeq: 1 " + method + "\n" +
		"Contact: <sip:alice@192.0.2.77:5071;line=ab12>\n" +
		"User-Agent: snomD785/10.1.159.12\n\n")
}

func peers(s *handlertest.Server) []*handlertest.Peer {
	return []*handlertest.Peer{s.UDP(), s.TCP()}
}

// start runs a server for example.com.
func start(t *testing.T, directives string) *handlertest.Server {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	return handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", addr, directives))
}

// withLog is start with a log, whose lines the function returns.
func withLog(t *testing.T, level, directives string) (*handlertest.Server, func() []string) {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "log")
	s := handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\tlevel %s\n\t\toutput file %s\n\t\tformat json\n\t}\n"+
		"\tsip {\n\t\tdomain example.com\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", level, file, addr, directives))
	return s, func() []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}
