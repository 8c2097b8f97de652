package authorder

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// condition is the matcher sets of a route, one of which must match.
type condition []caddy.ModuleMap

// String returns the condition's JSON, so that two conditions can be compared.
func (c condition) String() string {
	text, _ := json.Marshal([]caddy.ModuleMap(c))
	return string(text)
}

func negate(c condition) condition {
	return condition{{"not": json.RawMessage(c.String())}}
}

// split returns the sets that a request with the method can match, without their method matchers.
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

// narrowing is how a condition narrows the requests of a method that get into its route.
type narrowing int

const (
	never     narrowing = iota // none get in
	byAddress                  // by their source address, or by who has authenticated
	byOther                    // by something that the sender may choose
	all                        // all get in
)

// narrows returns how the condition narrows the requests of a method.
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

// excepts returns what a set excludes that consists of a single not.
func excepts(set caddy.ModuleMap) (excluded condition, ok bool) {
	raw, ok := set["not"]
	if !ok || len(set) != 1 || json.Unmarshal(raw, &excluded) != nil {
		return nil, false
	}
	return excluded, true
}

// coverage is which senders an authenticating handler behind conditions challenges.
type coverage int

const (
	everyone        coverage = iota
	exceptAddresses          // everyone but senders that the configuration knows by their address
	some
	nobody
)

// covers returns which senders of a method are challenged by a handler behind the conditions.
func covers(path []condition, method string) coverage {
	least := everyone
	for _, c := range path {
		least = max(least, c.covers(method))
	}
	return least
}

func (c condition) covers(method string) coverage {
	best := nobody
	for _, set := range c.split(method) {
		excluded, ok := excepts(set)
		switch {
		case len(set) == 0:
			return everyone
		case ok && excluded.narrows(method) <= byAddress:
			best = exceptAddresses
		default:
			best = min(best, some)
		}
	}
	return best
}

// without returns the conditions of path that are not in other.
func without(path, other []condition) (rest []condition) {
	for _, c := range path {
		same := func(o condition) bool { return o.String() == c.String() }
		if !slices.ContainsFunc(other, same) {
			rest = append(rest, c)
		}
	}
	return rest
}

// complement reports whether one of the conditions is exactly what another one excludes, so that
// together they let every request in.
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
