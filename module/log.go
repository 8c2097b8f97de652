package module

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/wire"
)

// ServerLogs says how requests are logged.
type ServerLogs struct {
	// The logger is sip.log.access, and with a name sip.log.access.<name>. Global placeholders,
	// such as {env.NAME}, are replaced. Default: no name.
	LoggerName string `json:"logger_name,omitempty"`
}

func (l *ServerLogs) loggerName() string {
	return strings.TrimSuffix("log.access."+l.LoggerName, ".")
}

type logField struct {
	key   string
	value any
}

// field returns the field for the logger. Its text may be from the wire.
func (f *logField) field() zap.Field {
	switch v := f.value.(type) {
	case string:
		return zap.String(f.key, wire.Printable(v, maxAppended))
	case []byte:
		return zap.String(f.key, wire.Printable(v, maxAppended))
	case error:
		return zap.String(f.key, wire.Printable(v.Error(), maxAppended))
	case fmt.Stringer:
		return zap.String(f.key, wire.Printable(v.String(), maxAppended))
	}
	return zap.Any(f.key, f.value)
}

// maxAppended is how many bytes of a text the access log shows that a handler adds, which may be
// put together from several.
const maxAppended = 4 * wire.MaxLogged

// LogField adds a field to the request's entry in the access log. Of a long text it shows the
// beginning.
func (r *Request) LogField(key string, value any) {
	r.logs = append(r.logs, logField{key, value})
}

// finished is called once a request, when its final response is sent or, with none, when nobody
// will send one.
func (s *Server) finished(r *Request, res *Response) {
	status := 0
	if res != nil {
		status = res.Status
	}
	countRequest(r.msg.Method, status)
	if r.msg.Method == wire.MESSAGE && status >= 200 && status < 300 {
		s.pressed(r)
	}
	if s.access == nil || r.dropped || r.msg.Method == wire.ACK {
		return
	}
	c := s.access.Check(zapcore.InfoLevel, "handled request")
	if c == nil {
		return
	}
	by := r.handler
	if res == nil {
		by = ""
	} else if res.By != "" {
		by = res.By
	}
	fields := []zap.Field{
		zap.Object("request", (*loggedRequest)(r)),
		zap.String("server", s.name),
		zap.Int("status", status),
		zap.String("answered_by", by),
		zap.Duration("duration", time.Since(r.Received())),
	}
	if user := r.AuthUser(); user != "" {
		fields = append(fields, zap.String("user", wire.ForLog(user)))
	}
	for _, f := range r.logs {
		fields = append(fields, f.field())
	}
	c.Write(fields...)
}

// loggedRequest writes a request to a log. Credentials are no part of it, and no text is longer
// than wire.MaxLogged: an entry needs not much more room than is said here, whatever comes.
type loggedRequest Request

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *loggedRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	r := (*Request)(l)
	var room [wire.MaxLogged]byte
	add := func(key string, text []byte) {
		enc.AddByteString(key, wire.AppendPrintable(room[:0], text, wire.MaxLogged))
	}
	add("method", r.msg.MethodName())
	add("uri", wire.WithoutPassword(r.msg.RequestURI()))
	add("from", addressOf(r, wire.From))
	add("to", addressOf(r, wire.To))
	add("call_id", r.msg.Header(wire.CallID))
	enc.AddString("source", r.in.Flow.Remote.String())
	enc.AddString("transport", r.Transport())
	add("user_agent", r.msg.Header(wire.UserAgent))
	return nil
}

func addressOf(r *Request, id wire.HeaderID) []byte {
	a, _ := r.Address(id)
	return wire.WithoutPassword(a.URI)
}

// LogsAccess reports whether the server has an access log.
func (s *Server) LogsAccess() bool { return s.access != nil }
