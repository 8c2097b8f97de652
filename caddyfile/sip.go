package caddyfile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("sip", parseSIP)
}

// app is what becomes apps.sip, and what is needed to get there.
type app struct {
	*module.App
	named  map[string]*namedRoute // those beside the servers
	blocks []serverBlock
}

type serverBlock struct {
	addresses []caddyfile.Token
	body      caddyfile.Segment // the last address, and the block
}

// parseSIP reads the global option.
//
//	sip {
//		domain  <names...>
//		storage <module> ...
//		grace_period <duration>
//		keys {
//			...
//		}
//		&(<name>) {
//			<directives...>
//		}
//		<addresses...> {
//			<directives...>
//		}
//	}
//
// An address is [udp/|tcp/][<host>]:<port>. Directives run in the order in which they are written.
func parseSIP(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option
	if existing != nil {
		return nil, d.Err("sip is there already: put all SIP servers into one sip block")
	}
	if err := directive.NoArgs(d); err != nil {
		return nil, err
	}
	a := &app{
		App:   &module.App{Servers: make(map[string]*module.Server), Source: place(d.Token())},
		named: make(map[string]*namedRoute),
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		segment := nextSegment(d)
		// As in a site's address, a comma at the end of a line goes on in the next.
		for strings.HasSuffix(segment[len(segment)-1].Text, ",") && d.NextBlock(nesting) {
			segment = append(segment, nextSegment(d)...)
		}
		if err := a.option(segment); err != nil {
			return nil, err
		}
	}
	for i, block := range a.blocks {
		s, err := a.server(block)
		if err != nil {
			return nil, err
		}
		a.Servers[fmt.Sprintf("srv%d", i)] = s
	}
	raw, err := json.Marshal(a.App)
	if err != nil {
		return nil, d.WrapErr(err)
	}
	return httpcaddyfile.App{Name: "sip", Value: raw}, nil
}

// option takes one line or block of the sip block.
func (a *app) option(segment caddyfile.Segment) error {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	option := d.Val()
	switch {
	case option == "domain":
		return a.domain(d)
	case option == "storage":
		return a.storage(d)
	case option == "grace_period":
		return a.gracePeriod(d)
	case option == "keys":
		return a.keys(d)
	case strings.HasPrefix(option, "&("):
		return parseNamedRoute(d, new(scope), a.named)
	}
	block := slices.IndexFunc(segment, func(t caddyfile.Token) bool { return t.Text == "{" && !t.Quoted() })
	switch {
	case !isAddress(option):
		return d.Errf("unrecognized option '%s' of sip: %s", option, optionHint(option))
	case block < 0:
		return d.Errf("the server %s has no block: write its directives between { and }", option)
	}
	a.blocks = append(a.blocks, serverBlock{segment[:block], segment[block-1:]})
	return nil
}

// isAddress reports whether a word can be a server's address. A host name without dots needs its
// port, so that an option with a slip in it is not taken for a host.
func isAddress(word string) bool {
	return strings.ContainsAny(word, ":/.[") || strings.TrimSuffix(word, ",") == "localhost"
}

func optionHint(word string) string {
	if _, err := caddy.GetModule(handlers + "." + word); err == nil || slices.Contains(builtin, word) {
		return fmt.Sprintf("directives belong in the block of a server, as in :5060 { %s }", word)
	}
	return suggest.DidYouMean(word, []string{"domain", "storage", "grace_period", "keys"}) +
		"; a server is written with its address, as in :5060 or udp/localhost:5060, and a named route as in &(name)"
}

// domain reads the domains that are served.
//
//	domain <names...>
func (a *app) domain(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("domain needs at least one name or address, as in example.com")
	}
	for {
		name := d.Val()
		if !strings.Contains(name, "{") { // else it is checked when it is replaced
			var err error
			if name, err = module.CheckDomain(name); err != nil {
				return d.WrapErr(err)
			}
		}
		if !slices.Contains(a.Domains, name) {
			a.Domains = append(a.Domains, name)
		}
		if !d.NextArg() {
			return directive.NoBlock(d, "domain")
		}
	}
}

// storage reads where registrations and keys are kept.
//
//	storage <module> ...
func (a *app) storage(d *caddyfile.Dispenser) error {
	if a.StorageRaw != nil {
		return d.Err("storage is there already: there is one for all servers")
	}
	if !d.NextArg() {
		return d.Err("storage needs the name of a storage module, as in storage bolt")
	}
	name := d.Val()
	if _, err := caddy.GetModule(storages + "." + name); err != nil {
		return d.Errf("unrecognized SIP storage '%s': %s", name, suggest.DidYouMean(name, moduleNames(storages)))
	}
	u, err := caddyfile.UnmarshalModule(d, storages+"."+name)
	if err != nil {
		return err
	}
	a.StorageRaw, err = moduleObject(u, "module", name)
	return err
}

// gracePeriod reads how long a removed listener goes on.
//
//	grace_period <duration>
func (a *app) gracePeriod(d *caddyfile.Dispenser) error {
	if a.GracePeriod != 0 {
		return d.Err("grace_period is there already")
	}
	if err := directive.Duration(&a.GracePeriod)(d); err != nil {
		return directive.Locate(d, fmt.Errorf("grace_period %w", err))
	}
	return nil
}

const (
	handlers = "sip.handlers"
	storages = "sip.storage"
)

func moduleNames(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

// moduleObject encodes a module with its name in it.
func moduleObject(m any, key, name string) (json.RawMessage, error) {
	var warnings []caddyconfig.Warning
	raw := caddyconfig.JSONModuleObject(m, key, name, &warnings)
	if len(warnings) > 0 {
		return nil, fmt.Errorf("encoding %s: %s", name, warnings[0].Message)
	}
	return raw, nil
}
