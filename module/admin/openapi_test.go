package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// object is a JSON object.
type object = map[string]any

// openAPI is the description that the server gives.
var openAPI = sync.OnceValue(func() object {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	return doc
})

// resolve follows references.
func resolve(o object) object {
	for o["$ref"] != nil {
		at := openAPI()
		for _, name := range strings.Split(strings.TrimPrefix(o["$ref"].(string), "#/"), "/") {
			next, ok := at[name].(object)
			if !ok {
				panic(fmt.Sprint("there is no ", o["$ref"]))
			}
			at = next
		}
		o = at
	}
	return o
}

// described returns what the description says about a method of a path, nil if nothing.
func described(method, path string) object {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(path, "/")
	paths := openAPI()["paths"].(object)
	for _, template := range slices.Sorted(maps.Keys(paths)) { // /push comes before /{key}
		parts := strings.Split(template, "/")
		fits := len(parts) == len(segments) || len(parts) < len(segments) && template == "/sip/bans/{source}"
		for i := 0; fits && i < len(parts); i++ {
			fits = parts[i] == segments[i] || strings.HasPrefix(parts[i], "{") && segments[i] != ""
		}
		if fits {
			o, _ := paths[template].(object)[strings.ToLower(method)].(object)
			return o
		}
	}
	return nil
}

// conforms checks a request and its answer against the description.
func conforms(t *testing.T, method, path, body string, res *http.Response, answer string) {
	t.Helper()
	o := described(method, path)
	if o == nil {
		return // that there is something else in the API is tested elsewhere
	}
	responses := o["responses"].(object)
	r, ok := responses[fmt.Sprint(res.StatusCode)].(object)
	if !ok {
		t.Errorf("%s %s is answered %s, and that is not described", method, path, res.Status)
		return
	}
	r = resolve(r)
	if headers, ok := r["headers"].(object); ok && headers["ETag"] != nil && res.Header.Get("ETag") == "" {
		t.Errorf("%s %s has no ETag", method, path)
	}
	content, _ := r["content"].(object)
	if media, ok := content["application/json"].(object); ok {
		validate(t, fmt.Sprintf("%s %s: %d", method, path, res.StatusCode), media["schema"].(object), answer)
	}
	if res.StatusCode >= 300 {
		return
	}
	if request, ok := o["requestBody"].(object); ok && body != "" {
		validate(t, method+" "+path, request["content"].(object)["application/json"].(object)["schema"].(object), body)
	}
	// The parameters that were taken are described.
	_, query, _ := strings.Cut(path, "?")
	values, _ := url.ParseQuery(query)
	for name := range values {
		known := slices.ContainsFunc(parameters(o), func(p object) bool { return p["name"] == name && p["in"] == "query" })
		if !known {
			t.Errorf("%s %s takes the parameter %s, and that is not described", method, path, name)
		}
	}
}

func parameters(o object) (list []object) {
	all, _ := o["parameters"].([]any)
	for _, p := range all {
		list = append(list, resolve(p.(object)))
	}
	return list
}

func validate(t *testing.T, what string, schema object, text string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Errorf("%s: %v in %s", what, err, text)
		return
	}
	if problem := check(schema, v, "it"); problem != "" {
		t.Errorf("%s: %s, in %s", what, problem, text)
	}
}

// check returns what is wrong with a value by the part of JSON Schema that the description uses.
func check(schema object, v any, at string) string {
	schema = resolve(schema)
	for _, name := range []string{"anyOf", "oneOf"} {
		if some, ok := schema[name].([]any); ok {
			return checkSome(some, v, at)
		}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Sprintf("%s is %v", at, v)
	}
	switch typ := schema["type"]; v := v.(type) {
	case object:
		if typ != "object" {
			return at + " is an object"
		}
		return checkObject(schema, v, at)
	case []any:
		if typ != "array" {
			return at + " is an array"
		}
		for i, e := range v {
			if problem := check(schema["items"].(object), e, fmt.Sprintf("%s[%d]", at, i)); problem != "" {
				return problem
			}
		}
	case string:
		_, err := time.Parse(time.RFC3339, v)
		if typ != "string" || schema["format"] == "date-time" && err != nil {
			return fmt.Sprintf("%s is %q", at, v)
		}
	case float64:
		least, _ := schema["minimum"].(float64)
		if typ != "integer" || v != float64(int64(v)) || v < least || schema["maximum"] != nil && v > schema["maximum"].(float64) {
			return fmt.Sprintf("%s is %v", at, v)
		}
	case bool:
		if typ != "boolean" {
			return at + " is a boolean"
		}
	case nil:
		if typ != "null" {
			return at + " is null"
		}
	}
	return ""
}

func checkSome(some []any, v any, at string) string {
	var problems []string
	for _, s := range some {
		problem := check(s.(object), v, at)
		if problem == "" {
			return ""
		}
		problems = append(problems, problem)
	}
	return strings.Join(problems, ", or ")
}

func checkObject(schema, v object, at string) string {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Sprintf("%s has no %v", at, name)
		}
	}
	properties, _ := schema["properties"].(object)
	for name, value := range v {
		p, ok := properties[name].(object)
		switch {
		case ok:
			if problem := check(p, value, at+"."+name); problem != "" {
				return problem
			}
		case schema["additionalProperties"] == false:
			return fmt.Sprintf("%s has %s", at, name)
		}
	}
	return ""
}

func TestOpenAPIServed(t *testing.T) {
	s := startAdmin(t, "respond 404")
	var got object
	if s.get("/sip/openapi.json", &got); text(t, got) != text(t, openAPI()) {
		t.Error("the server serves something else")
	}
	// All that is referred to is there, and all that is there is referred to.
	names := make(map[string]int)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				resolve(v)
				names[ref]++
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(got)
	for kind, list := range got["components"].(object) {
		for name := range list.(object) {
			if ref := "#/components/" + kind + "/" + name; names[ref] == 0 && name != "Event" {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
	// Operations have names of their own, and the parameters of their paths.
	operations := make(map[any]bool)
	for path, item := range got["paths"].(object) {
		item := item.(object)
		for _, segment := range strings.Split(path, "/") {
			if name, ok := strings.CutPrefix(segment, "{"); ok {
				name = strings.TrimSuffix(name, "}")
				if !slices.ContainsFunc(parameters(item), func(p object) bool { return p["name"] == name && p["in"] == "path" }) {
					t.Errorf("%s has no parameter %s", path, name)
				}
			}
		}
		for method, o := range item {
			if o, ok := o.(object); ok {
				if id := o["operationId"]; id == nil || operations[id] {
					t.Errorf("%s %s has the operationId %v", method, path, id)
				}
				operations[o["operationId"]] = true
			}
		}
	}
}
