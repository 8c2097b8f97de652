package module

import (
	"fmt"
	"regexp"
)

// source is the end of an error that has its place in a Caddyfile.
var source = regexp.MustCompile(`, at .+:\d+$`)

// located adds the place in the Caddyfile to an error, unless it has a more precise one already.
// place is empty if the configuration was no Caddyfile.
func located(err error, place string) error {
	if err == nil || place == "" || source.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%w, at %s", err, place)
}
