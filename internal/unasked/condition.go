package unasked

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// condition is the matcher sets of a route, of which one must match.
type condition []caddy.ModuleMap

// String returns the condition's JSON, which is the same for the same condition.
func (c condition) String() string {
	text, _ := json.Marshal([]caddy.ModuleMap(c))
	return string(text)
}

func negate(c condition) condition {
	return condition{{"not": json.RawMessage(c.String())}}
}

// split returns the sets that a request of a method can match, without their matcher of methods.
func (c condition) split(method string) (sets condition) {
	for _, set := range c {
		var methods []string
		if raw, ok := set["method"]; ok {
			if json.Unmarshal(raw, &methods) != nil || !slices.Contains(methods, method) {
				continue
			}
		}
		rest := make(caddy.ModuleMap)
		for name, raw := range set {
			if name != "method" {
				rest[name] = raw
			}
		}
		sets = append(sets, rest)
	}
	return sets
}

// Which requests of a method a condition lets into its route, by what narrows them.
type narrowing int

const (
	never     narrowing = iota // none of them
	byAddress                  // by where they come from, or who has been authenticated
	byOther                    // by something that the sender may choose
	all                        // not at all
)

// narrows returns how a condition narrows the requests of a method.
func (c condition) narrows(method string) narrowing {
	widest := never
	for _, set := range c.split(method) {
		excluded, ok := excepts(set)
		switch {
		case len(set) == 0:
			return all
		case ok && excluded.narrows(method) == all:
		case set["remote_ip"] != nil || set["authenticated"] != nil:
			widest = max(widest, byAddress)
		default:
			widest = max(widest, byOther)
		}
	}
	return widest
}

// excepts returns what a set that is nothing but a not excludes.
func excepts(set caddy.ModuleMap) (excluded condition, ok bool) {
	raw, ok := set["not"]
	if !ok || len(set) != 1 || json.Unmarshal(raw, &excluded) != nil {
		return nil, false
	}
	return excluded, true
}

// Whom a handler asks that stands behind conditions.
type whom int

const (
	everyone     whom = iota
	everyoneElse      // but those whom the configuration knows by their address
	some
	nobody
)

// asks returns whom a handler behind the conditions asks, of the senders of a method.
func asks(path []condition, method string) whom {
	w := everyone
	for _, c := range path {
		w = max(w, c.asks(method))
	}
	return w
}

func (c condition) asks(method string) whom {
	w := nobody
	for _, set := range c.split(method) {
		excluded, ok := excepts(set)
		switch {
		case len(set) == 0:
			return everyone
		case ok && excluded.narrows(method) <= byAddress:
			w = everyoneElse
		default:
			w = min(w, some)
		}
	}
	return w
}

// without returns the conditions of a path that are none of another's.
func without(path, other []condition) (rest []condition) {
	for _, c := range path {
		same := func(o condition) bool { return o.String() == c.String() }
		if !slices.ContainsFunc(other, same) {
			rest = append(rest, c)
		}
	}
	return rest
}

// complement reports whether one of the conditions is what another excludes.
func complement(conditions []condition, method string) bool {
	for _, c := range conditions {
		sets := c.split(method)
		if len(sets) != 1 {
			continue
		}
		excluded, ok := excepts(sets[0])
		if !ok {
			continue
		}
		same := func(o condition) bool { return o.split(method).String() == excluded.split(method).String() }
		if slices.ContainsFunc(conditions, same) {
			return true
		}
	}
	return false
}
