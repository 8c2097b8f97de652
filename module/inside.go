package module

import (
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
)

func init() {
	inside.AppOf = func(a any) *inside.App { return &a.(*App).in }
	inside.RequestOf = func(r any) *inside.Request { return &r.(*Request).in }
	inside.Begin = func(r any, h transaction.ServerHandler) error { return r.(*Request).begin(h) }
}
