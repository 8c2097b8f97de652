package module

import (
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
)

func init() {
	inside.AppOf = func(a any) *inside.App { return &a.(*App).in }
	inside.RequestOf = func(r any) *inside.Request { return &r.(*Request).in }
	inside.Begin = func(r any, h transaction.ServerHandler) (*transaction.Server, error) {
		err := r.(*Request).begin(h)
		return r.(*Request).writer.tx, err
	}
	inside.IsDirect = func(w any) bool { _, ok := w.(*responder); return ok }
}
