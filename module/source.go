package module

import (
	"fmt"
	"regexp"
)

// source ends an error that says where in a Caddyfile what is wrong is written.
var source = regexp.MustCompile(`, at .+:\d+$`)

// located adds to an error where in a Caddyfile that is written which it is about, unless something
// more precise is there already. In a configuration that was no Caddyfile, place is empty.
func located(err error, place string) error {
	if err == nil || place == "" || source.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%w, at %s", err, place)
}
