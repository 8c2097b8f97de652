package placeholders

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

// options returns the paths of all values that a configuration of SIP can have: those of the app,
// and of each of the modules that routes, storages and so on are made of.
func options() []string {
	var list []string
	walk("sip", reflect.TypeFor[module.App](), &list)
	for _, namespace := range [...]string{
		"sip.handlers", "sip.matchers", "sip.storage", "sip.authentication.providers",
	} {
		for _, m := range caddy.GetModules(namespace) {
			walk(string(m.ID), reflect.TypeOf(m.New()), &list)
		}
	}
	return list
}

var (
	routes  = reflect.TypeFor[module.RouteList]()
	raw     = reflect.TypeFor[json.RawMessage]()
	modules = reflect.TypeFor[caddy.ModuleMap]()
)

// walk adds the paths of the values in a type.
func walk(path string, t reflect.Type, list *[]string) {
	switch {
	case t == raw || t == modules || t == routes && path != "sip.servers.routes":
		return // modules are walked by themselves
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
		walk(path, t.Elem(), list)
	case t.Kind() == reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous:
				walk(path, field.Type, list)
			case name != "" && name != "-":
				walk(path+"."+name, field.Type, list)
			}
		}
	default:
		*list = append(*list, path)
	}
}
