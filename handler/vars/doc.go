// Package vars provides the directive vars, the module sip.handlers.vars, which sets variables of a
// request: the handlers after it read them as {sip.vars.<name>}, and the matcher vars compares
// them.
//
//	@internal remote_ip private_ranges
//	vars @internal trust high
//
//	@trusted vars trust high
//	proxy @trusted
//	respond 403
//
// Variables last as long as the request. Placeholders in a value are replaced when the directive
// runs. Names that begin with "sip." or "regexp." belong to the server: using one is an error when
// the configuration is loaded. The directive answers nothing.
package vars
