package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&MatchExpression{})
}

// MatchExpression matches requests by an expression in [CEL](https://github.com/google/cel-spec)
// over placeholders, as in `{sip.method} == "INVITE" && {sip.uri.user}.startsWith("4")`. A
// placeholder that is not set is null.
//
// In JSON it is a string, or an object with the field expr.
type MatchExpression struct {
	// The expression. It must give true or false.
	Expr string `json:"expr"`

	program cel.Program
}

// CaddyModule returns the Caddy module information.
func (*MatchExpression) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.expression", New: func() caddy.Module { return new(MatchExpression) }}
}

// MarshalJSON writes the expression as a string.
func (m *MatchExpression) MarshalJSON() ([]byte, error) { return json.Marshal(m.Expr) }

// UnmarshalJSON reads a string or an object.
func (m *MatchExpression) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &m.Expr)
	}
	type object MatchExpression // without this method
	return caddy.StrictUnmarshalJSON(data, (*object)(m))
}

// placeholderCall finds placeholders, which become calls of ph.
var placeholderCall = regexp.MustCompile(`{([a-zA-Z][\w.-]+)}`)

// Provision compiles the expression.
func (m *MatchExpression) Provision(caddy.Context) error {
	if strings.TrimSpace(m.Expr) == "" {
		return errors.New("the expression is empty")
	}
	env, err := cel.NewEnv(
		cel.Variable("req", requestType),
		cel.Function("ph", cel.Overload("ph_sip_request_string", []*cel.Type{requestType, cel.StringType}, cel.AnyType),
			cel.SingletonBinaryBinding(placeholder)),
		cel.CustomTypeAdapter(adapter{}),
		ext.Strings(), ext.Bindings(), ext.Lists(), ext.Math(),
	)
	if err != nil {
		return fmt.Errorf("setting up CEL: %w", err)
	}
	ast, issues := env.Compile(placeholderCall.ReplaceAllString(m.Expr, `ph(req, "$1")`))
	if err := issues.Err(); err != nil {
		return fmt.Errorf("expression %q: %w", m.Expr, err)
	}
	if ast.OutputType() != cel.BoolType {
		return fmt.Errorf("expression %q gives %s; it must be something that is true or false", m.Expr, ast.OutputType())
	}
	if m.program, err = env.Program(ast, cel.EvalOptions(cel.OptOptimize)); err != nil {
		return fmt.Errorf("expression %q: %w", m.Expr, err)
	}
	return nil
}

// Match implements module.Matcher.
func (m *MatchExpression) Match(r *module.Request) (bool, error) {
	out, _, err := m.program.Eval(request{r})
	if err != nil {
		return false, fmt.Errorf("expression %q: %w", m.Expr, err)
	}
	ok, _ := out.Value().(bool)
	return ok, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	expression <expression...>
func (m *MatchExpression) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume matcher name
	if d.CountRemainingArgs() == 1 {
		d.NextArg()
		m.Expr = d.Val()
	} else {
		// Quotes belong to the expression, unless they are around all of it.
		m.Expr = strings.Join(d.RemainingArgsRaw(), " ")
	}
	if m.Expr == "" {
		return d.Err("expression needs an expression, as in expression {sip.to.user} == '100'")
	}
	if err := directive.NoBlock(d, "expression"); err != nil {
		return err
	}
	if d.Next() {
		return d.Err("expression can be in a set once: combine them with &&")
	}
	return nil
}

var requestType = cel.ObjectType("sip.Request", traits.ReceiverType)

// request is a request as CEL sees it: a value and, for its one variable, the scope of an
// evaluation.
type request struct{ *module.Request }

// placeholder is the function ph.
func placeholder(req, name ref.Val) ref.Val {
	r, ok1 := req.(request)
	key, ok2 := name.(types.String)
	if !ok1 || !ok2 {
		return types.NewErr("ph takes a request and the name of a placeholder")
	}
	value, _ := r.Replacer().Get(string(key))
	return adapter{}.NativeToValue(value)
}

// ResolveName implements interpreter.Activation.
func (r request) ResolveName(name string) (any, bool) { return r, name == "req" }

// Parent implements interpreter.Activation.
func (request) Parent() interpreter.Activation { return nil }

// ConvertToNative implements ref.Val.
func (r request) ConvertToNative(reflect.Type) (any, error) { return r.Request, nil }

// ConvertToType implements ref.Val.
func (request) ConvertToType(ref.Type) ref.Val { return types.NewErr("a request can't be converted") }

// Equal implements ref.Val.
func (r request) Equal(other ref.Val) ref.Val {
	o, ok := other.(request)
	return types.Bool(ok && o.Request == r.Request)
}

// Type implements ref.Val.
func (request) Type() ref.Type { return requestType }

// Value implements ref.Val.
func (r request) Value() any { return r }

// adapter makes CEL values of what placeholders give.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case request:
		return v
	case time.Time:
		return types.Timestamp{Time: v}
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// Interface guards
var (
	_ module.Matcher        = (*MatchExpression)(nil)
	_ caddy.Provisioner     = (*MatchExpression)(nil)
	_ caddyfile.Unmarshaler = (*MatchExpression)(nil)
	_ json.Marshaler        = (*MatchExpression)(nil)
	_ json.Unmarshaler      = (*MatchExpression)(nil)
	_ ref.Val               = request{}
	_ types.Adapter         = adapter{}
)
