package module

import (
	"math"
	"slices"
)

// KeyedMatcher is a Matcher that looks at one property of a request, such as its method, and
// matches only some values of it. In a list of many routes, those of which such a matcher excludes
// the request are not asked one after the other. Match and AppendKey must have no other effect.
type KeyedMatcher interface {
	Matcher

	// Keys returns the name of the property, and all the values with which Match may return true;
	// nil when there is no telling, as with patterns. It is called once, after provisioning.
	Keys() (property string, values []string)

	// AppendKey appends the value that the property of a request has.
	AppendKey(dst []byte, r *Request) []byte
}

// minIndexed is from how many routes with a KeyedMatcher on a list of them has an index. Fewer are
// asked as quickly.
const minIndexed = 8

// routeIndex finds the next route of a list that may match a request.
type routeIndex struct {
	properties []indexedProperty
	always     []int // for each place in the list, the next route that any request may match
}

// indexedProperty has the routes that match only some values of a property, by these values. Their
// places in the list are in ascending order.
type indexedProperty struct {
	matcher KeyedMatcher // one that reads the property
	routes  map[string][]int
}

// key is a value of a property.
type key struct{ property, value string }

// newRouteIndex returns an index, or nil where there is nothing to gain.
func newRouteIndex(routes RouteList) *routeIndex {
	keyed := make([][]routeKeys, len(routes))
	frequency := make(map[key]int)
	for i, r := range routes {
		keyed[i] = r.keys()
		for _, k := range keyed[i] {
			for _, v := range k.values {
				frequency[key{k.property, v}]++
			}
		}
	}
	x := &routeIndex{always: make([]int, len(routes)+1)}
	places := make(map[string]int) // in x.properties
	indexed := 0
	for i := range routes {
		x.always[i] = -1
		var best *routeKeys // whose values the fewest routes have
		least := math.MaxInt
		for j := range keyed[i] {
			k := &keyed[i][j]
			n := 0
			for _, v := range k.values {
				n = max(n, frequency[key{k.property, v}])
			}
			if n < least {
				best, least = k, n
			}
		}
		if best == nil {
			x.always[i] = i
			continue
		}
		indexed++
		place, known := places[best.property]
		if !known {
			place = len(x.properties)
			places[best.property] = place
			x.properties = append(x.properties, indexedProperty{best.matcher, make(map[string][]int)})
		}
		for _, v := range best.values {
			x.properties[place].routes[v] = append(x.properties[place].routes[v], i)
		}
	}
	if indexed < minIndexed {
		return nil
	}
	next := len(routes)
	for i := len(routes); i >= 0; i-- {
		if i < len(routes) && x.always[i] == i {
			next = i
		}
		x.always[i] = next
	}
	return x
}

// next returns the place of the first route, not before i, that may match; the number of routes if
// there is none.
func (x *routeIndex) next(r *Request, i int) int {
	found := x.always[i]
	if found == i {
		return i
	}
	for _, p := range x.properties {
		places := p.routes[string(p.matcher.AppendKey(r.keyRoom[:0], r))]
		if at, _ := slices.BinarySearch(places, i); at < len(places) {
			found = min(found, places[at])
		}
	}
	return found
}

// routeKeys are the values of a property with which a route may match.
type routeKeys struct {
	property string
	values   []string
	matcher  KeyedMatcher
}

// keys returns, by each property that all of the route's matcher sets look at, with what values of
// it the route may match.
func (r *Route) keys() (all []routeKeys) {
	for i, set := range r.sets {
		of := setKeys(set)
		if i == 0 {
			all = of
			continue
		}
		all = slices.DeleteFunc(all, func(k routeKeys) bool { return find(of, k.property) < 0 })
		for j := range all {
			more := of[find(of, all[j].property)].values
			all[j].values = append(slices.Clip(all[j].values), more...)
		}
	}
	for i := range all {
		all[i].values = slices.Compact(slices.Sorted(slices.Values(all[i].values)))
	}
	return all
}

func setKeys(set []Matcher) (all []routeKeys) {
	for _, m := range set {
		if m, ok := m.(KeyedMatcher); ok {
			if property, values := m.Keys(); values != nil && find(all, property) < 0 {
				all = append(all, routeKeys{property, values, m})
			}
		}
	}
	return all
}

func find(keys []routeKeys, property string) int {
	return slices.IndexFunc(keys, func(k routeKeys) bool { return k.property == property })
}
