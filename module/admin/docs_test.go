package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// words are those of a shell's command line, as far as the examples need it.
var words = regexp.MustCompile(`'[^']*'|[^ ']+`)

// TestDocumentedRequests makes the requests that docs/admin.md shows, in their order.
func TestDocumentedRequests(t *testing.T) {
	doc, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	s := startAdmin(t, "register\nrespond 404")
	s.Load(strings.Replace(s.caddyfile(s.Addr, "register\nrespond 404"), "domain example.com", "domain example.com localhost", 1))
	p := s.UDP()
	s.phone(p, "101")
	done := make(chan struct{})
	defer func() {
		c, err := net.Dial("udp", p.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("end")); err != nil {
			t.Error(err)
		}
		<-done
	}()
	go answerAll(p, done)
	count := 0
	for line := range strings.Lines(string(doc)) {
		args, found := strings.CutPrefix(strings.TrimSpace(line), "curl ")
		if !found {
			continue
		}
		count++
		method, url, body := "GET", "", ""
		list := words.FindAllString(args, -1)
		for i := 0; i < len(list); i++ {
			switch list[i] {
			case "-X":
				i++
				method = list[i]
			case "-d":
				i++
				body = strings.Trim(list[i], "'")
			case "-o":
				i++
			case "-N":
			default:
				url = strings.Trim(list[i], "'")
			}
		}
		path, found := strings.CutPrefix(url, "localhost:2019")
		if !found || described(method, path) == nil {
			t.Errorf("%s: there is no %s %s", line, method, path)
			continue
		}
		res, err := request(s, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode >= 300 {
			t.Errorf("%s is answered %s", line, res.Status)
		}
	}
	if count < 10 {
		t.Errorf("only %d examples were found", count)
	}
	for _, event := range openAPI()["components"].(object)["schemas"].(object)["Event"].(object)["properties"].(object)["type"].(object)["enum"].([]any) {
		if !strings.Contains(string(doc), fmt.Sprintf("\n| `%s` |", event)) {
			t.Errorf("the event %s is not described", event)
		}
	}
}

func request(s *server, method, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.api.String()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// answerAll has a phone answer everything until it is told to end.
func answerAll(p *handlertest.Peer, done chan<- struct{}) {
	defer close(done)
	for m := p.Receive(); m.Text != "end"; m = p.Receive() {
		p.Answer(m, "200 OK", "t")
	}
}
