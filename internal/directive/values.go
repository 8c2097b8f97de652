package directive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddysip/caddysip/internal/ipset"
)

// One returns an option that takes one value, which is given to set. No error repeats what is too
// much: it may be a secret.
func One(set func(value string) error) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		switch {
		case len(args) == 0 || args[0] == "":
			return errors.New("needs a value")
		case len(args) > 1:
			return errors.New("takes one value, in quotes if there are spaces in it")
		}
		if err := set(args[0]); err != nil {
			return err
		}
		return NoBlock(d, name)
	}
}

// Text returns an option that sets a text.
func Text(value *string) Option {
	return One(func(text string) error { *value = text; return nil })
}

// Choice returns an option that sets a text to one of those that are possible.
func Choice(value *string, possible ...string) Option {
	return One(func(text string) error {
		if !slices.Contains(possible, text) {
			return fmt.Errorf("is %s, not '%s'", strings.Join(possible, " or "), text)
		}
		*value = text
		return nil
	})
}

// Flag returns an option without a value: that it stands there sets *value.
func Flag(value *bool) Option {
	return func(d *caddyfile.Dispenser) error {
		*value = true
		return NoMore(d, d.Val())
	}
}

// Switch returns an option that is on or off; *value is nil where it does not stand.
func Switch(value **bool) Option {
	return func(d *caddyfile.Dispenser) error {
		var text string
		err := Choice(&text, "on", "off")(d)
		on := text == "on"
		*value = &on
		return err
	}
}

// List returns an option that takes one value or more. Where it may stand again, the values are
// added.
func List(values *[]string) Option {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 {
			return errors.New("needs at least one value")
		}
		*values = append(*values, args...)
		return NoBlock(d, name)
	}
}

// Number returns an option that sets a number above zero.
func Number(value *int) Option { return One(ParseNumber(value)) }

// Duration returns an option that sets a duration above zero.
func Duration(value *caddy.Duration) Option { return One(ParseDuration(value)) }

// Size returns an option that sets a number of bytes above zero.
func Size[T int | int64](value *T) Option { return One(ParseSize(value)) }

// ParseNumber returns a function that sets a number above zero.
func ParseNumber(value *int) func(text string) error {
	return func(text string) (err error) {
		if *value, err = strconv.Atoi(text); err != nil || *value < 1 {
			return fmt.Errorf("takes a number above zero, not '%s'", text)
		}
		return nil
	}
}

// ParseDuration returns a function that sets a duration above zero.
func ParseDuration(value *caddy.Duration) func(text string) error {
	return func(text string) error {
		t, err := caddy.ParseDuration(text)
		if err != nil || t <= 0 {
			return fmt.Errorf("takes a duration above zero such as 30s or 5m, not '%s'", text)
		}
		*value = caddy.Duration(t)
		return nil
	}
}

// ParseSize returns a function that sets a number of bytes above zero.
func ParseSize[T int | int64](value *T) func(text string) error {
	return func(text string) error {
		n, err := humanize.ParseBytes(text)
		// An int may have 32 bits.
		if err != nil || n == 0 || n > math.MaxInt64>>1 || uint64(T(n)) != n {
			return fmt.Errorf("takes a size such as 64KiB, not '%s'", text)
		}
		*value = T(n)
		return nil
	}
}

// Prefixes checks addresses and ranges, and returns them with private_ranges written out. Those
// with placeholders are checked when they are replaced.
func Prefixes(words []string) ([]string, error) {
	words = ipset.Expand(words)
	for _, word := range words {
		if strings.Contains(word, "{") {
			continue
		}
		if _, err := ipset.Parse([]string{word}); err != nil {
			return nil, err
		}
	}
	return words, nil
}
