package proxy

import (
	"fmt"
	"slices"
)

// admit leaves those of the places that its name leads to where it may lead.
func (t *target) admit(hops []hop) ([]hop, error) {
	if t.within == nil {
		return hops, nil
	}
	hops = slices.DeleteFunc(hops, func(h hop) bool { return !t.within.Contains(h.Addr.Addr()) })
	if len(hops) == 0 {
		return nil, fmt.Errorf("%s leads to none of the proxies whose Path is followed", t.name)
	}
	return hops, nil
}
