package allowance

import (
	"crypto/md5"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/caddysip/caddysip/test/simnet"
)

// The addresses. Nobody sends from the victims', nobody registers from there, and no configuration
// has them.
const (
	serverIP  = "203.0.113.1"
	bobIP     = "192.0.2.50"
	edgeIP    = "192.0.2.20"
	trunkIP   = "192.0.2.30"
	victimIP  = "192.0.2.99"
	victim2IP = "192.0.2.100"
)

// server is where the server listens, by UDP and TCP.
var server = netip.MustParseAddrPort(serverIP + ":5060")

// names is what the resolver knows. Each ends with a dot.
var names = map[string][]string{
	"outside.example.": {bobIP},
	"trunk.example.":   {trunkIP},
	"victim.example.":  {victimIP},
	"many.example.":    {victimIP, victim2IP, "192.0.2.101", "192.0.2.102", "192.0.2.103", "192.0.2.104", "192.0.2.105", "192.0.2.106", "192.0.2.107"},
}

// who is somebody who sends.
type who int

const (
	mallory who = iota // a stranger
	eve                // another
	phone1             // registered as 101
	phone2             // registered as 102
	phone3             // registered as 103, by TCP
	user4              // has the password of 104, and is not registered
	bob                // has a phone elsewhere
	edge               // an edge proxy that is trusted
	trunk              // a gateway that is configured
	cast
)

// casting is who the actors are.
var casting = [cast]struct {
	name, addr, user string
}{
	mallory: {"mallory", "198.51.100.66:5060", ""},
	eve:     {"eve", "198.51.100.67:7000", ""},
	phone1:  {"phone1", "198.51.100.11:5060", "101"},
	phone2:  {"phone2", "198.51.100.12:5062", "102"},
	phone3:  {"phone3", "198.51.100.13:5060", "103"},
	user4:   {"user4", "198.51.100.14:5060", "104"},
	bob:     {"bob", bobIP + ":5060", ""},
	edge:    {"edge", edgeIP + ":5060", ""},
	trunk:   {"trunk", trunkIP + ":5060", ""},
}

func (w who) String() string { return casting[w].name }

// user is the name of a user, for actors who are none a stranger's.
func (w who) user() string {
	if u := casting[w].user; u != "" {
		return u
	}
	return w.String()
}

// password returns that of a user.
func password(user string) string { return "secret-of-" + user }

// actor is one of the cast in a run.
type actor struct {
	who
	addr   netip.AddrPort // of the UDP socket
	host   *simnet.Host
	udp    net.PacketConn
	stream net.Conn // nil until it is used
	unread int      // bytes sent down the stream since the server last answered on it: the work for them may come with a later message
	count  int      // makes CSeq, Call-IDs and branches

	challenge string // the latest one
	nc        int
	waiting   []received // requests that wait for an answer, the oldest first
}

// received is a request that an actor has got.
type received struct {
	m   *message
	tcp net.Conn // nil: by UDP
}

var quoted = regexp.MustCompile(`(\w+)="?([^",]+)"?`)

// authorize returns the header field that answers a challenge to a request; a password other than
// the user's is a wrong one.
func (a *actor) authorize(user, password, method, uri string) string {
	_, value, _ := strings.Cut(a.challenge, ": ")
	params := make(map[string]string)
	for _, p := range quoted.FindAllStringSubmatch(value, -1) {
		params[p[1]] = p[2]
	}
	a.nc++
	hash := func(parts ...string) string { return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, ":")))) }
	nc := fmt.Sprintf("%08x", a.nc)
	response := hash(hash(user, params["realm"], password), params["nonce"], nc, "cnonce", "auth", hash(method, uri))
	field := "Proxy-Authorization"
	if method == "REGISTER" || uri == targets[toServer] {
		field = "Authorization" // RFC 3261 §22.2
	}
	return fmt.Sprintf(`%s: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=MD5, qop=auth, nc=%s, cnonce="cnonce"`,
		field, user, params["realm"], params["nonce"], uri, response, nc)
}

// challenged remembers the challenge in a response, the one for MD5.
func (a *actor) challenged(m *message) bool {
	for _, field := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		for _, v := range m.all(strings.ToLower(field)) {
			if strings.Contains(v, "algorithm=MD5") {
				if c := field + ": " + v; c != a.challenge {
					a.challenge, a.nc = c, 0
				}
				return true
			}
		}
	}
	return false
}
