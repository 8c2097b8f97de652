package directive

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/ipset"
)

type values struct {
	Text, Choice string
	Flag         bool
	Switch       *bool
	List         []string
	Number       int
	Duration     caddy.Duration
	Size         int64
}

func (v *values) options() Options {
	return Options{
		"text":     Text(&v.Text),
		"choice":   Choice(&v.Choice, "own", "any"),
		"flag":     Flag(&v.Flag),
		"switch":   Switch(&v.Switch),
		"list":     List(&v.List),
		"number":   Number(&v.Number),
		"duration": Duration(&v.Duration),
		"size":     Size(&v.Size),
	}
}

func (v *values) read(text string) error {
	d := caddyfile.NewTestDispenser("thing {\n" + text + "\n}")
	d.Next()
	return Block(d, "thing", v.options(), "list")
}

func TestBlock(t *testing.T) {
	off := false
	var got values
	err := got.read("text a\nchoice any\nflag\nswitch off\nlist a b\nlist c\nnumber 5\nduration 1d\nsize 2KiB")
	want := values{"a", "any", true, &off, []string{"a", "b", "c"}, 5, caddy.Duration(24 * time.Hour), 2048}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"txet a":          "unrecognized option 'txet' of thing: did you mean text? (known are choice, ",
		"text a\ntext b":  "text of thing is given twice, at Testfile:3",
		"text":            "text of thing needs a value, at Testfile:2",
		"text \"\"":       "text of thing needs a value, at Testfile:2",
		"text a secret":   "text of thing takes one value, in quotes if there are spaces in it, at Testfile:2",
		"text a {\n b\n}": "text has no block, at Testfile:3",
		"choice all":      "choice of thing is own or any, not 'all', at Testfile:2",
		"flag on":         "flag takes no more: found 'on', at Testfile:2",
		"switch maybe":    "switch of thing is on or off, not 'maybe', at Testfile:2",
		"list":            "list of thing needs at least one value, at Testfile:2",
		"list a {\n b\n}": "list has no block, at Testfile:3",
		"number 0":        "number of thing takes a number above zero, not '0', at Testfile:2",
		"number {env.N}": "number of thing takes a number above zero, not '{env.N}'; here an environment variable " +
			"is written as {$N}, at Testfile:2",
		"number 1s":    "number of thing takes a number above zero, not '1s', at Testfile:2",
		"duration -5s": "duration of thing takes a duration above zero such as 30s or 5m, not '-5s'",
		"duration 5":   "duration of thing takes a duration above zero such as 30s or 5m, not '5'",
		"size 0":       "size of thing takes a size such as 64KiB, not '0', at Testfile:2",
		"size 9EB":     "size of thing takes a size such as 64KiB, not '9EB', at Testfile:2",
	} {
		err := new(values).read(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestChecked(t *testing.T) {
	d := caddyfile.NewTestDispenser("thing {\nnumber 1\nnumber 2\n}")
	d.Next()
	n := 0
	err := Block(d, "thing", Options{"number": Number(&n)}.Checked(func() error {
		if n == 2 {
			return errors.New("2 is too much")
		}
		return nil
	}), "number")
	if err == nil || err.Error() != "2 is too much, at Testfile:3" {
		t.Errorf("got %v", err)
	}
}

func TestLocate(t *testing.T) {
	d := caddyfile.NewTestDispenser("thing {\n}")
	d.Next()
	for err, want := range map[error]string{
		errors.New("wrong"): "wrong, at Testfile:1",
		d.Err("wrong"):      "wrong, at Testfile:1",
	} {
		if got := Locate(d, err); got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	if err := Locate(d, nil); err != nil {
		t.Errorf("nothing is wrong, got %v", err)
	}
}

func TestNoArgs(t *testing.T) {
	d := caddyfile.NewTestDispenser("thing secret {\n}")
	d.Next()
	if err := NoArgs(d); err == nil || err.Error() != "thing takes no arguments, only a block, at Testfile:1" {
		t.Errorf("got %v", err)
	}
}

func TestPrefixes(t *testing.T) {
	got, err := Prefixes([]string{"192.0.2.1", "{env.EDGE}", "private_ranges"})
	want := append([]string{"192.0.2.1", "{env.EDGE}"}, ipset.PrivateRanges...)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Prefixes([]string{"edge.example.com"}); err == nil {
		t.Error("a name is taken for an address")
	}
}
