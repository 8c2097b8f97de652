package command

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/caddysip/caddysip/internal/phone"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// screen writes what happens, a line each. What came from the network is
// written without its control characters, which could do things to a terminal.
type screen struct {
	color     bool
	prompt    bool
	lampColor string // of a key whose colour nobody has set

	mu    sync.Mutex
	out   io.Writer
	shown map[*phone.Call]int // responses that have been written
}

func newScreen(out io.Writer, o options) *screen {
	s := &screen{
		out:       out,
		color:     o.color,
		prompt:    o.prompt && !o.exit,
		lampColor: "red",
		shown:     make(map[*phone.Call]int),
	}
	if m, _ := snom.Lookup(o.phone.Model); len(m.Colors) > 0 {
		s.lampColor = m.Colors[0]
	}
	return s
}

func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(clean(fmt.Sprintf(format, args...)))
}

// ready writes the prompt, if there is one.
func (s *screen) ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompt {
		fmt.Fprint(s.out, "\r> ")
	}
}

// line writes a line over the prompt, and the prompt again below it.
func (s *screen) line(text string) {
	if s.prompt {
		fmt.Fprint(s.out, "\r\x1b[K", text, "\n> ")
		return
	}
	fmt.Fprintln(s.out, text)
}

// key writes how a key is now.
func (s *screen) key(b buttons.Button) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(s.describe(b, 0))
}

// keys writes all keys, in the order of their numbers.
func (s *screen) keys(keys map[string]buttons.Button) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(keys) == 0 {
		s.line("no key is set")
		return
	}
	names := slices.SortedFunc(maps.Keys(keys), compareKeys)
	width := 0
	for _, name := range names {
		width = max(width, len([]rune(keyName(name))))
	}
	for _, name := range names {
		s.line(s.describe(keys[name], width))
	}
}

// call writes the responses of a call that have not been written yet, and
// that it has ended.
func (s *screen) call(c *phone.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	responses := c.Responses()
	for _, r := range responses[min(s.shown[c], len(responses)):] {
		switch {
		case c.Incoming && r.Status == 180:
			s.line(clean(fmt.Sprintf("%s calls: answer or hangup", c.Number)))
		default:
			s.line(clean(fmt.Sprintf("call with %s: %d %s", c.Number, r.Status, r.Reason)))
		}
	}
	s.shown[c] = len(responses)
	if c.State() == phone.Ended {
		delete(s.shown, c)
		if n := len(responses); c.Incoming || n == 0 || responses[n-1].Status < 300 {
			s.line(clean(fmt.Sprintf("call with %s: ended", c.Number)))
		}
	}
}

// blinking are the lights that blink; on and seized shine, the rest is not
// known to do either.
var blinking = []string{"hold", "park", "pickup", "message", "record"}

// describe returns a key in a line, its name padded to width runes:
//
//	key P2  ● hold   green  "Light is hold"  → 432 (invite)
func (s *screen) describe(b buttons.Button, width int) string {
	color := b.Color
	switch color {
	case "":
		color = s.lampColor
	case "local":
		color = "green"
	case "remote":
		color = "red"
	}
	lamp := "●"
	if b.Light == "off" || !buttons.ValidLight(b.Light) {
		lamp, color = "○", ""
	} else if sgr := map[string]string{"red": "31", "green": "32", "orange": "33"}[color]; s.color && sgr != "" {
		if slices.Contains(blinking, b.Light) {
			sgr += ";5"
		}
		lamp = "\x1b[" + sgr + "m" + lamp + "\x1b[0m"
	}
	line := fmt.Sprintf(
		"key %-*s  %s %-7s %-6s",
		width,
		clean(keyName(b.Key)),
		lamp,
		clean(b.Light),
		clean(color),
	)
	if b.Label != "" {
		line += "  " + strconv.Quote(b.Label)
	}
	if b.Number != "" {
		line += clean("  → " + b.Number + " (" + b.Action + ")")
	}
	return strings.TrimRight(line, " ")
}

// keyName writes a key's number as it is printed beside the key.
func keyName(key string) string {
	if _, err := strconv.Atoi(key); err == nil {
		return "P" + key
	}
	return key
}

// compareKeys orders numbers before names.
func compareKeys(a, b string) int {
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	switch {
	case errA == nil && errB == nil:
		return m - n
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// clean replaces control characters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
