package module

import (
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/internal/wire"
)

// ServerLogs says how requests are logged.
type ServerLogs struct {
	// The logger is sip.log.access, and with a name sip.log.access.<name>. Default: no name.
	LoggerName string `json:"logger_name,omitempty"`
}

func (l *ServerLogs) loggerName() string {
	return strings.TrimSuffix("log.access."+l.LoggerName, ".")
}

type logField struct {
	key   string
	value any
}

// LogField adds a field to the request's entry in the access log.
func (r *Request) LogField(key string, value any) {
	r.logs = append(r.logs, logField{key, value})
}

// finished is called once a request, when its final response is sent or, with none, when nobody will send one.
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
		fields = append(fields, zap.String("user", user))
	}
	for _, f := range r.logs {
		fields = append(fields, zap.Any(f.key, f.value))
	}
	c.Write(fields...)
}

// loggedRequest writes a request to a log. Credentials are no part of it.
type loggedRequest Request

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (l *loggedRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	r := (*Request)(l)
	enc.AddString("method", r.Method())
	enc.AddByteString("uri", wire.WithoutPassword(r.msg.RequestURI()))
	enc.AddByteString("from", addressOf(r, wire.From))
	enc.AddByteString("to", addressOf(r, wire.To))
	enc.AddByteString("call_id", r.msg.Header(wire.CallID))
	enc.AddString("source", r.flow.Remote.String())
	enc.AddString("transport", r.Transport())
	enc.AddByteString("user_agent", r.msg.Header(wire.UserAgent))
	return nil
}

func addressOf(r *Request, id wire.HeaderID) []byte {
	a, _ := r.Address(id)
	return wire.WithoutPassword(a.URI)
}
