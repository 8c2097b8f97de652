package wire

// HeaderID identifies a header field that the server itself reads; such a field is found without a
// search. Every other field is OtherHeader and is found by name (Message.HeaderNamed,
// Message.Lines). The values may change from version to version: don't store them.
type HeaderID uint8

// The header fields that have a HeaderID, in no particular order.
const (
	OtherHeader HeaderID = iota
	Via
	From
	To
	CallID
	CSeq
	Contact
	MaxForwards
	ContentLength
	ContentType
	Route
	RecordRoute
	Path
	Expires
	MinExpires
	Require
	ProxyRequire
	Supported
	UserAgent
	Authorization
	ProxyAuthorization
	Event
	Timestamp
	numHeaderIDs
)

// headerNames holds each field's canonical name and its compact form, if it has one in RFC 3261
// §7.3.3 or in an extension.
var headerNames = [numHeaderIDs]struct {
	long    string
	compact byte
}{
	Via:                {"Via", 'v'},
	From:               {"From", 'f'},
	To:                 {"To", 't'},
	CallID:             {"Call-ID", 'i'},
	CSeq:               {"CSeq", 0},
	Contact:            {"Contact", 'm'},
	MaxForwards:        {"Max-Forwards", 0},
	ContentLength:      {"Content-Length", 'l'},
	ContentType:        {"Content-Type", 'c'},
	Route:              {"Route", 0},
	RecordRoute:        {"Record-Route", 0},
	Path:               {"Path", 0},
	Expires:            {"Expires", 0},
	MinExpires:         {"Min-Expires", 0},
	Require:            {"Require", 0},
	ProxyRequire:       {"Proxy-Require", 0},
	Supported:          {"Supported", 'k'},
	UserAgent:          {"User-Agent", 0},
	Authorization:      {"Authorization", 0},
	ProxyAuthorization: {"Proxy-Authorization", 0},
	Event:              {"Event", 'o'},
	Timestamp:          {"Timestamp", 0},
}

// otherCompact holds the compact forms of fields that have no HeaderID.
var otherCompact = [...]struct {
	long    string
	compact byte
}{
	{"Accept-Contact", 'a'}, {"Referred-By", 'b'}, {"Request-Disposition", 'd'},
	{"Content-Encoding", 'e'}, {"Reject-Contact", 'j'}, {"Identity-Info", 'n'}, {"Refer-To", 'r'},
	{"Subject", 's'}, {"Allow-Events", 'u'},
	{"Session-Expires", 'x'}, {"Identity", 'y'},
}

// String returns the canonical long name of the field, such as "Call-ID". It is empty for
// OtherHeader.
func (id HeaderID) String() string { return headerNames[id].long }

var (
	compactIDs [256]HeaderID
	longIDs    [256]HeaderID // open addressing by nameHash
)

func init() {
	for id := HeaderID(1); id < numHeaderIDs; id++ {
		n := headerNames[id]
		if n.compact != 0 {
			compactIDs[n.compact] = id
			compactIDs[n.compact-'a'+'A'] = id
		}
		h := nameHash([]byte(n.long))
		for longIDs[h] != OtherHeader {
			h++
		}
		longIDs[h] = id
	}
}

func nameHash(name []byte) uint8 {
	return uint8(len(name))*37 + lower(name[0])*7 + lower(name[len(name)-1])*3
}

// LookupHeader returns the HeaderID of a field name, which may be the long or the compact form, in
// any case. It returns OtherHeader for a field that has none.
func LookupHeader(name []byte) HeaderID {
	// The fields of most messages, in the spelling of nearly all: the compiler turns this into a
	// few comparisons of whole words.
	switch string(name) {
	case "Via":
		return Via
	case "From":
		return From
	case "To":
		return To
	case "Call-ID":
		return CallID
	case "CSeq":
		return CSeq
	case "Contact":
		return Contact
	case "Max-Forwards":
		return MaxForwards
	case "Content-Length":
		return ContentLength
	case "Content-Type":
		return ContentType
	case "Route":
		return Route
	case "Record-Route":
		return RecordRoute
	case "Expires":
		return Expires
	case "Supported":
		return Supported
	case "User-Agent":
		return UserAgent
	case "Authorization":
		return Authorization
	case "Proxy-Authorization":
		return ProxyAuthorization
	}
	switch len(name) {
	case 0:
		return OtherHeader
	case 1:
		return compactIDs[name[0]]
	}
	for h := nameHash(name); longIDs[h] != OtherHeader; h++ {
		if EqualFold(name, headerNames[longIDs[h]].long) {
			return longIDs[h]
		}
	}
	return OtherHeader
}

// CanonicalHeader returns the canonical name of a field: the long form of a compact form, and the
// spelling of the RFC for a field that has a HeaderID. Any other name is returned as it is.
func CanonicalHeader(name string) string {
	if id := LookupHeader([]byte(name)); id != OtherHeader {
		return id.String()
	}
	if len(name) == 1 {
		for _, n := range otherCompact {
			if n.compact == lower(name[0]) {
				return n.long
			}
		}
	}
	return name
}
