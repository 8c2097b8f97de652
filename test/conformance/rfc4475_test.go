package conformance

// rfc4475 has the messages of RFC 4475 in its order.
var rfc4475 = []torture{
	{
		file: "rfc4475/wsinv.dat", section: "3.1.1.1", title: "A Short Tortuous INVITE", rfc: "well formed",
		user: "sip:vivekg@chair-dnrc.example.com", udp: forwarded, has: []string{"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"},
	},
	{
		file: "rfc4475/intmeth.dat", section: "3.1.1.2", title: "Wide Range of Valid Characters", rfc: "well formed: a proxy forwards it to a URI that it knows",
		user: "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/esc01.dat", section: "3.1.1.3", title: "Valid Use of the % Escaping Mechanism", rfc: "well formed",
		user: "sip:%73ips%3Auser%40example.com@example.net", udp: forwarded,
	},
	{
		file: "rfc4475/escnull.dat", section: "3.1.1.4", title: "Escaped Nulls in URIs", rfc: "well formed: two contacts are registered",
		udp: answered("200 OK"), has: []string{"\r\nContact: <sip:%00@host5.example.com>;", "\r\nContact: <sip:%00%00@host5.example.com>;"},
	},
	{
		file: "rfc4475/esc02.dat", section: "3.1.1.5", title: "Use of % When It Is Not an Escape", rfc: "well formed, but no REGISTER: an endpoint refuses it with 501",
		udp: refused("501 Not Implemented"), has: []string{"\r\nAllow: OPTIONS\r\n"},
	},
	{
		file: "rfc4475/lwsdisp.dat", section: "3.1.1.6", title: "Message with No LWS between Display Name and <", rfc: "to be accepted",
		user: "sip:user@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/longreq.dat", section: "3.1.1.7", title: "Long Values in Header Fields", rfc: "well formed",
		user: "sip:user@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/dblreq.dat", section: "3.1.1.8", title: "Extra Trailing Octets in a UDP Datagram", rfc: "the REGISTER is served and what follows it is ignored",
		udp: answered("200 OK"), why: "on a stream what follows is the next message, an INVITE whose body is too long",
		tcp: outcome{what: "answered", status: "200 OK", then: "404 Not Found", counts: []string{"framing"}, closes: true},
	},
	{
		file: "rfc4475/semiuri.dat", section: "3.1.1.9", title: "Semicolon-Separated Parameters in URI User Part", rfc: "well formed: the user is `user;par=u@example.net`",
		user: "sip:user;par=u%40example.net@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/transports.dat", section: "3.1.1.10", title: "Varied and Unknown Transport Types", rfc: "well formed",
		user: "sip:user@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/mpart01.dat", section: "3.1.1.11", title: "Multipart MIME Message", rfc: "well formed, and its body has null characters",
		user: "sip:kumiko@example.org", via: true, port: -1, udp: forwarded, why: "by a `proxy` that is given the address: its Route leads to a stranger",
	},
	{
		file: "rfc4475/unreason.dat", section: "3.1.1.12", title: "Unusual Reason Phrase", rfc: "well formed",
		udp: dropped("stray_response"), why: "it answers nothing that was sent",
	},
	{
		file: "rfc4475/noreason.dat", section: "3.1.1.13", title: "Empty Reason Phrase", rfc: "well formed",
		udp: dropped("stray_response"), why: "it answers nothing that was sent",
	},

	{
		file: "rfc4475/badinv01.dat", section: "3.1.2.1", title: "Extraneous Header Field Separators", rfc: "400",
		user: "sip:user@example.com", udp: malformed("Malformed or Missing Via"),
	},
	{
		file: "rfc4475/clerr.dat", section: "3.1.2.2", title: "Content Length Larger Than Message", rfc: "400 over UDP; over TCP wait for more, and close in the end",
		user: "sip:user@example.com", udp: malformed("Body Shorter Than Content-Length"), tcp: incomplete, why: "for 30 seconds",
	},
	{
		file: "rfc4475/ncl.dat", section: "3.1.2.3", title: "Negative Content-Length", rfc: "an error; over TCP close as well",
		user: "sip:user@example.com", udp: malformed("Malformed Content-Length"), tcp: unframed("Malformed Content-Length"),
	},
	{
		file: "rfc4475/scalar02.dat", section: "3.1.2.4", title: "Request Scalar Fields with Overlarge Values", rfc: "400 for the CSeq",
		udp: malformed("Malformed or Missing CSeq"),
	},
	{
		file: "rfc4475/scalarlg.dat", section: "3.1.2.5", title: "Response Scalar Fields with Overlarge Values", rfc: "drop",
		udp: dropped("malformed"),
	},
	{
		file: "rfc4475/quotbal.dat", section: "3.1.2.6", title: "Unterminated Quoted String in Display Name", rfc: "400, or infer the quote",
		user: "sip:user@example.com", port: 5050, udp: malformed("Malformed or Missing To"),
	},
	{
		file: "rfc4475/ltgtruri.dat", section: "3.1.2.7", title: "<> Enclosing Request-URI", rfc: "400, or ignore the brackets",
		user: "sip:user@example.com", udp: malformed("Malformed Start Line"),
	},
	{
		file: "rfc4475/lwsruri.dat", section: "3.1.2.8", title: "Malformed SIP Request-URI (embedded LWS)", rfc: "400, or ignore the space",
		user: "sip:user@example.com", udp: malformed("Malformed Start Line"),
	},
	{
		file: "rfc4475/lwsstart.dat", section: "3.1.2.9", title: "Multiple SP Separating Request-Line Elements", rfc: "400, or ignore the spaces",
		user: "sip:user@example.com", udp: malformed("Malformed Start Line"),
	},
	{
		file: "rfc4475/trws.dat", section: "3.1.2.10", title: "SP Characters at End of Request-Line", rfc: "400, or ignore the spaces",
		user: "sip:remote-target@example.com", udp: malformed("Malformed Start Line"),
	},
	{
		file: "rfc4475/escruri.dat", section: "3.1.2.11", title: "Escaped Headers in SIP Request-URI", rfc: "400, or forward without them",
		user: "sip:user@example.com", udp: refused("400 Malformed Request-URI"),
	},
	{
		file: "rfc4475/baddate.dat", section: "3.1.2.12", title: "Invalid Time Zone in Date Header Field", rfc: "400, or better ignore a Date that isn't needed",
		user: "sip:user@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/regbadct.dat", section: "3.1.2.13", title: "Failure to Enclose name-addr URI in <>", rfc: "400, or infer the brackets",
		udp: refused("400 Malformed Contact"),
	},
	{
		file: "rfc4475/badaspec.dat", section: "3.1.2.14", title: "Spaces within addr-spec", rfc: "400, or ignore the spaces",
		user: "sip:user@example.org", udp: forwarded,
	},
	{
		file: "rfc4475/baddn.dat", section: "3.1.2.15", title: "Non-token Characters in Display Name", rfc: "400; who infers the quotes must not forward the error",
		user: "sip:t.watson@example.org", udp: malformed("Malformed or Missing From"),
	},
	{
		file: "rfc4475/badvers.dat", section: "3.1.2.16", title: "Unknown Protocol Version", rfc: "505",
		user: "sip:t.watson@example.org", udp: outcome{what: "refused", status: "505 Version Not Supported", counts: []string{"malformed"}},
	},
	{
		file: "rfc4475/mismatch01.dat", section: "3.1.2.17", title: "Start Line and CSeq Method Mismatch", rfc: "400",
		user: "sip:user@example.com", udp: malformed("CSeq Method Does Not Match"),
	},
	{
		file: "rfc4475/mismatch02.dat", section: "3.1.2.18", title: "Unknown Method with CSeq Method Mismatch", rfc: "501, or 400",
		user: "sip:user@example.com", udp: malformed("CSeq Method Does Not Match"),
	},
	{
		file: "rfc4475/bigcode.dat", section: "3.1.2.19", title: "Overlarge Response Code", rfc: "drop",
		udp: dropped("malformed"),
	},

	{
		file: "rfc4475/badbranch.dat", section: "3.2.1", title: "Missing Transaction Identifier", rfc: "400, or match it as RFC 2543 does",
		user: "sip:user@example.com", udp: forwarded, why: "matched as RFC 2543 does",
	},

	{
		file: "rfc4475/insuf.dat", section: "3.3.1", title: "Missing Required Header Fields", rfc: "400",
		user: "sip:user@example.com", udp: malformed("Malformed or Missing From"),
	},
	{
		file: "rfc4475/unkscm.dat", section: "3.3.2", title: "Request-URI with Unknown Scheme", rfc: "416",
		user: "sip:user@example.com", udp: refused("416 Unsupported URI Scheme"),
	},
	{
		file: "rfc4475/novelsc.dat", section: "3.3.3", title: "Request-URI with Known but Atypical Scheme", rfc: "416",
		user: "sip:user@example.com", udp: refused("416 Unsupported URI Scheme"),
	},
	{
		file: "rfc4475/unksm2.dat", section: "3.3.4", title: "Unknown URI Schemes in Header Fields", rfc: "well formed; a registrar refuses it with 400",
		udp: refused("400 To Is Not a SIP URI"),
	},
	{
		file: "rfc4475/bext01.dat", section: "3.3.5", title: "Unknown Require and Proxy-Require", rfc: "420 with what is not supported",
		user: "sip:user@example.com", udp: refused("420 Bad Extension"),
		has: []string{"\r\nUnsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis\r\n"},
	},
	{
		file: "rfc4475/invut.dat", section: "3.3.6", title: "Unknown Content-Type", rfc: "an endpoint refuses it with 415; a proxy forwards it",
		user: "sip:user@example.com", udp: forwarded,
	},
	{
		file: "rfc4475/regaut01.dat", section: "3.3.7", title: "Unknown Authorization Scheme", rfc: "as if there were no Authorization",
		udp: answered("200 OK"), why: "nothing in this configuration authenticates",
	},
	{
		file: "rfc4475/multi01.dat", section: "3.3.8", title: "Multiple Values in Single Value Required Fields", rfc: "400",
		user: "sip:user@company.com", udp: malformed("Duplicate Header"),
	},
	{
		file: "rfc4475/mcl01.dat", section: "3.3.9", title: "Multiple Content-Length Values", rfc: "400; over TCP close as well",
		user: "sip:user@example.com", udp: malformed("Duplicate Header"), tcp: unframed("Duplicate Header"),
	},
	{
		file: "rfc4475/bcast.dat", section: "3.3.10", title: "200 OK Response with Broadcast Via Header Field Value", rfc: "drop, and send nothing to the broadcast address",
		udp: dropped("stray_response"),
	},
	{
		file: "rfc4475/zeromf.dat", section: "3.3.11", title: "Max-Forwards of Zero", rfc: "483; a proxy may answer OPTIONS for the end",
		user: "sip:user@example.com", udp: refused("483 Too Many Hops"),
	},
	{
		file: "rfc4475/cparam01.dat", section: "3.3.12", title: "REGISTER with a Contact Header Parameter", rfc: "200; `unknownparam` is no part of the contact's URI",
		udp: answered("200 OK"), has: []string{"\r\nContact: <sip:+19725552222@gw1.example.net>;expires="},
	},
	{
		file: "rfc4475/cparam02.dat", section: "3.3.13", title: "REGISTER with a url-parameter", rfc: "200; `unknownparam` is a part of the contact's URI",
		udp: answered("200 OK"), has: []string{"\r\nContact: <sip:+19725552222@gw1.example.net;unknownparam>;expires="},
	},
	{
		file: "rfc4475/regescrt.dat", section: "3.3.14", title: "REGISTER with a URL Escaped Header", rfc: "200; the header is a part of the contact's URI",
		udp: answered("200 OK"), has: []string{"\r\nContact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires="},
	},
	{
		file: "rfc4475/sdp01.dat", section: "3.3.15", title: "Unacceptable Accept Offering", rfc: "an endpoint refuses it with 406; a proxy forwards it",
		user: "sip:user@example.com", udp: forwarded,
	},

	{
		file: "rfc4475/inv2543.dat", section: "3.4.1", title: "INVITE with RFC 2543 Syntax", rfc: "to be accepted",
		user: "sip:UserB@example.com", udp: forwarded, tcp: unframed("Malformed Message"), why: "without Content-Length a stream has no end of a message (RFC 3261 §18.3)",
	},
}
