//go:build interop

package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// guarded is a server as it faces the Internet, with a password that is found in no time if anybody
// may try all. It offers MD5 alone, which is all that SIPVicious can answer.
const guarded = `{
	admin {admin}
	persist_config off
	sip {
		domain example.com
		:{port} {
			{limit}
			digest_auth {
				realm example.com
				user 101 "correct horse battery staple"
				user 102 456
				algorithm MD5
				{failures}
			}
			snom_lrc
			register
			proxy
		}
	}
}
`

// attacker is where the attacks come from. The phones are at ::1.
const attacker = "127.0.0.1"

// vicious runs a program of SIPVicious and returns what it says.
func (s *server) vicious(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append(args, "-p", port(s.addr), attacker)...)
	cmd.Env = append(environment(t), "HOME="+t.TempDir())
	p := run(t, cmd)
	p.wait(t)
	return p.output()
}

func guardedBy(limit, failures string) string {
	return strings.NewReplacer("{limit}", limit, "{failures}", failures).Replace(guarded)
}

const limited = "rate_limit {\n\t\t\t\tban 5m\n\t\t\t}"

// phone has a phone register with its password and dial a lamp, which must work.
func (s *server) phone(t *testing.T, user, password string) {
	t.Helper()
	out, err := exec.Command(binary, "snom", "--server", "[::1]:"+port(s.addr), "--domain", "example.com", "--user", user, "--password", password, "--dial", "433", "--exit").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hold") {
		t.Errorf("the phone of %s: %v\n%s", user, err, out)
	}
}

// found is a line of svwar's or svcrack's table: extension and how it answered, or extension and
// password.
var found = regexp.MustCompile(`(?m)^\| *([0-9]+) *\| *(.*?) *\|`)

// TestSvmap and its fellows attack the server with SIPVicious. What it learns is that there is a
// SIP server.
func TestSvmap(t *testing.T) {
	s := start(t, binary, guardedBy(limited, ""))
	out := s.vicious(t, "svmap")
	if strings.Contains(strings.ToLower(out), "caddy") {
		t.Errorf("svmap learns what the server is:\n%s", out)
	}
	s.phone(t, "101", "correct horse battery staple")
}

func TestSvwar(t *testing.T) {
	for _, method := range []string{"REGISTER", "INVITE", "OPTIONS"} {
		t.Run(method, func(t *testing.T) {
			s := start(t, binary, guardedBy("", ""))
			if out := s.vicious(t, "svwar", "-m", method, "-e", "95-109", "--force"); found.MatchString(out) || !strings.Contains(out, "found nothing") {
				t.Errorf("svwar finds users:\n%s", out)
			}
			s.phone(t, "101", "correct horse battery staple")
		})
	}
}

// TestSweep asks for each of 900 users, who are answered alike, and banned when they ask too fast.
func TestSweep(t *testing.T) {
	for _, method := range []string{"REGISTER", "INVITE", "OPTIONS"} {
		for limit, most := range map[string]int{"": 900, limited: 60} {
			s := start(t, binary, guardedBy(limit, ""))
			answers := s.sweep(t, method)
			kinds := map[string]int{}
			for user, text := range answers {
				text = changing.ReplaceAllString(text, "$1")
				for _, before := range []string{"sip:", "z9hG4bK-", "Call-ID: "} {
					text = strings.ReplaceAll(text, before+user, before+"USER")
				}
				kinds[text]++
			}
			if len(answers) > most || len(answers) < 20 || limit == "" && len(answers) != most || len(kinds) != 1 {
				t.Errorf("%s: %d users were answered in these ways: %v", method, len(answers), kinds)
			}
			if limit != "" {
				s.banned(t)
			}
			s.phone(t, "101", "correct horse battery staple")
		}
	}
}

// changing is what differs from answer to answer.
var changing = regexp.MustCompile(`(tag=|nonce="|opaque=")[^"\r;]*`)

// sweep sends a request for each user from 100 to 999, and returns the answers by user.
func (s *server) sweep(t *testing.T, method string) map[string]string {
	t.Helper()
	c, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := map[string]string{}
	buf := make([]byte, 4096)
	for user := 100; user < 1000; user++ {
		fmt.Fprintf(c, "%s sip:%d@example.com SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK-%[2]d\r\nMax-Forwards: 70\r\nFrom: <sip:%[2]d@example.com>;tag=%[2]d\r\n"+
			"To: <sip:%[2]d@example.com>\r\nCall-ID: %[2]d\r\nCSeq: 1 %[1]s\r\nContact: <sip:%[2]d@%[3]s>\r\nContent-Length: 0\r\n\r\n", method, user, c.LocalAddr())
		if len(answers) < user-100 {
			continue // it is banned: nothing is answered any more, which the end of the sweep shows
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(buf)
		if err != nil {
			continue
		}
		answers[fmt.Sprint(user)] = string(buf[:n])
	}
	return answers
}

func TestSvcrack(t *testing.T) {
	for name, test := range map[string]struct {
		limit, failures string
		found           bool
	}{
		// Without protection it finds the password: it knows how.
		"open":         {"", "failures off", true},
		"failures":     {"", "", false}, // the default
		"rate limited": {limited, "failures off", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, binary, guardedBy(test.limit, test.failures))
			out := s.vicious(t, "svcrack", "-u", "102", "-r", "100-999", "--maximumtime", "3")
			if got := strings.Contains(out, "456"); got != test.found {
				t.Errorf("the password is found: %v, want %v\n%s", got, test.found, out)
			}
			if !test.found {
				s.banned(t)
			}
			s.phone(t, "102", "456")
		})
	}
}

// banned checks that the attacker is banned, and nobody else.
func (s *server) banned(t *testing.T) {
	t.Helper()
	res, err := http.Get("http://" + s.admin + "/sip/bans")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(text), attacker) || strings.Contains(string(text), "::") {
		t.Errorf("banned are: %s %v", text, err)
	}
}
