package directive

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/suggest"
)

// Option reads what follows the name of an option, which is the dispenser's current token. An error
// needs neither the option's name nor its place in the file: Block adds them.
type Option func(d *caddyfile.Dispenser) error

// Options are what may stand in a block, by name.
type Options map[string]Option

// Checked returns the options with check called after each: an error says the option's line.
func (o Options) Checked(check func() error) Options {
	checked := make(Options)
	for name, read := range o {
		checked[name] = func(d *caddyfile.Dispenser) error {
			if err := read(d); err != nil {
				return err
			}
			return Locate(d, check())
		}
	}
	return checked
}

// Block reads the block that begins behind the current token. owner is what the options belong to,
// for errors. An option may stand once, unless it is one of repeatable.
func Block(d *caddyfile.Dispenser, owner string, options Options, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read := options[name]
		if read == nil {
			return Unrecognized(d, name, owner, slices.Collect(maps.Keys(options)))
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("%s of %s is given twice", name, owner)
		}
		seen[name] = true
		if err := read(d); err != nil {
			if Located(d, err) {
				return err
			}
			return d.Errf("%s of %s %w%s", name, owner, err, variable(d.Val()))
		}
	}
	return nil
}

// variable returns how an environment variable is written where no placeholder is replaced, if the
// value that was refused is one.
func variable(value string) string {
	name, ok := strings.CutPrefix(value, "{env.")
	if name, closed := strings.CutSuffix(name, "}"); ok && closed {
		return "; here an environment variable is written as {$" + name + "}"
	}
	return ""
}

// Unrecognized returns the error for an option that is none of those known.
func Unrecognized(d *caddyfile.Dispenser, option, owner string, known []string) error {
	return d.Errf("unrecognized option '%s' of %s: %s", option, owner,
		suggest.DidYouMean(option, known))
}

// Located reports whether an error says where in the file it is.
func Located(d *caddyfile.Dispenser, err error) bool {
	return strings.Contains(err.Error(), ", at "+d.File()+":")
}

// Locate adds the place of the current token to an error that does not say where it is.
func Locate(d *caddyfile.Dispenser, err error) error {
	if err == nil || Located(d, err) {
		return err
	}
	return d.WrapErr(err)
}

// NoArgs refuses arguments behind the name of a directive, the current token, that has only a block.
func NoArgs(d *caddyfile.Dispenser) error {
	name := d.Val()
	if d.NextArg() {
		return d.Errf("%s takes no arguments, only a block", name) // it may be a secret
	}
	return nil
}

// NoBlock refuses a block behind the current token.
func NoBlock(d *caddyfile.Dispenser, name string) error {
	if d.NextBlock(d.Nesting()) {
		return d.Errf("%s has no block", name)
	}
	return nil
}

// NoMore refuses a further argument, and a block.
func NoMore(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() {
		return d.Errf("%s takes no more: found '%s'", name, d.Val())
	}
	return NoBlock(d, name)
}
