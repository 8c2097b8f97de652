package conformance

// rfc5118 has the messages of RFC 5118 in its order.
var rfc5118 = []torture{
	{
		file: "rfc5118/ipv6-good", section: "4.1", title: "Valid SIP Message with an IPv6 Reference", rfc: "well formed",
		udp: answered("200 OK"), has: []string{"\r\nContact: <sip:caller@[2001:db8::1]>;expires="},
	},
	{
		file: "rfc5118/ipv6-bad", section: "4.2", title: "Invalid SIP Message with an IPv6 Reference", rfc: "400",
		udp: refused("400 Malformed Request-URI"),
	},
	{
		file: "rfc5118/port-ambiguous", section: "4.3", title: "Port Ambiguous in a SIP URI", rfc: "well formed: 5070 is a part of the address",
		udp: answered("200 OK"),
	},
	{
		file: "rfc5118/port-unambiguous", section: "4.4", title: "Port Unambiguous in a SIP URI", rfc: "well formed: 5070 is the port",
		udp: answered("200 OK"),
	},
	{
		file: "rfc5118/via-received-param-with-delim", section: "4.5", title: "IPv6 Reference Delimiters in Via Header", rfc: "accept received in brackets",
		udp: refused("481 Call/Transaction Does Not Exist"), why: "a BYE for no call",
	},
	{
		file: "rfc5118/via-received-param-no-delim", section: "4.5", title: "IPv6 Reference Delimiters in Via Header", rfc: "accept received without brackets",
		udp: answered("200 OK"),
	},
	{
		file: "rfc5118/ipv6-in-sdp", section: "4.6", title: "SIP Request with IPv6 Addresses in Session Description Protocol (SDP) Body", rfc: "well formed",
		user: "sip:user@[2001:db8::10]", udp: forwarded, tcp: surplus, why: "as far as its Content-Length, which is too short",
	},
	{
		file: "rfc5118/mult-ip-in-header", section: "4.7", title: "Multiple IP Addresses in SIP Headers", rfc: "well formed",
		user: "sip:user@host.example.net", port: 6050, udp: forwarded,
	},
	{
		file: "rfc5118/mult-ip-in-sdp", section: "4.8", title: "Multiple IP Addresses in SDP", rfc: "well formed",
		user: "sip:user@[2001:db8::10]", udp: forwarded, tcp: surplus, why: "as far as its Content-Length, which is too short",
	},
	{
		file: "rfc5118/ipv4-mapped-ipv6", section: "4.9", title: "IPv4-Mapped IPv6 Addresses", rfc: "well formed",
		user: "sip:user@example.com", port: 19823, udp: forwarded, tcp: surplus, why: "as far as its Content-Length, which is too short",
	},
	{
		file: "rfc5118/ipv6-bug-abnf-3-colons", section: "4.10", title: "IPv6 Reference Bug in RFC 3261 ABNF", rfc: "accept three colons",
		user: "sip:user@[2001:db8::192.0.2.1]", udp: forwarded,
	},
	{
		file: "rfc5118/ipv6-correct-abnf-2-colons", section: "4.10", title: "IPv6 Reference Bug in RFC 3261 ABNF", rfc: "accept two colons",
		user: "sip:user@[2001:db8::192.0.2.1]", udp: forwarded,
	},
}

// surplus: in the files that have it Content-Length is too short. What is left over ruins the
// stream for what follows.
var surplus = outcome{what: "forwarded", status: "200 OK", rest: true}
