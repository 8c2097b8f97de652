package module_test

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

// refuse answers calls from a user.
type refuse struct{ user string }

func (h *refuse) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	_, from := r.From()
	if r.Is("INVITE") && string(from.User) == h.user {
		return module.Respond(w, 403, "Not Today")
	}
	return next(w, r)
}

// invite makes a request as the network would.
func invite() *module.Request {
	raw := strings.ReplaceAll(moduletest.Invite, "\n", "\r\n")
	phone, us := netip.MustParseAddrPort("192.0.2.7:5060"), netip.MustParseAddrPort("192.0.2.10:5060")
	r, err := module.NewRequest([]byte(raw), phone, us, nil)
	if err != nil {
		panic(err)
	}
	return r
}

// A handler answers a request, or lets it go on.
func ExampleHandler() {
	for _, user := range []string{"alice", "bob"} {
		var w moduletest.Recorder
		var next moduletest.Next
		r := invite()
		if err := (&refuse{user}).ServeSIP(&w, r, next.Serve); err != nil {
			fmt.Println(err)
		}
		for _, res := range w.Responses {
			fmt.Println(user, "is refused:", res.Status, res.Reason)
		}
		if next.Calls > 0 {
			fmt.Println(user, "is not: the next handler has the request")
		}
	}
	// Output:
	// alice is refused: 403 Not Today
	// bob is not: the next handler has the request
}

// watch tells what becomes of a request.
type watch struct{ module.ResponseWriter }

func (w watch) WriteResponse(res *module.Response) error {
	fmt.Println("passes:", res.Status)
	return w.ResponseWriter.WriteResponse(res)
}

// Whoever wants to know what becomes of a request hands on a writer of its own.
func ExampleResponseWriter() {
	next := func(w module.ResponseWriter, r *module.Request) error {
		if err := module.Respond(w, 180, ""); err != nil {
			return err
		}
		return module.Respond(w, 200, "")
	}
	var w moduletest.Recorder
	if err := next(watch{&w}, invite()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// passes: 180
	// passes: 200
}
