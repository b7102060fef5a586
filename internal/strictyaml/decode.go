package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// FromText is implemented by a struct that may also be written as a bare
// string, such as a list's item "- django".
type FromText interface{ FromText(text string) }

// Decode fills the struct v points to. What the document does not mention
// keeps its value: defaults are set before. Fields are named by their yaml tag. A type with
// UnmarshalText receives the text of a scalar; its error may have a method
// Hint() string. Decode panics on Go types that it does not know; every
// mistake of the file is collected for Err.
func (d *Document) Decode(v any) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		panic(fmt.Sprintf("strictyaml: Decode wants a pointer, got %T", v))
	}
	d.homes = homesOf(p.Elem().Type())
	d.decode(d.root, "", p.Elem())
}

func (d *Document) decode(n *yaml.Node, path string, v reflect.Value) {
	if d.full() {
		return
	}
	d.locations[path] = locationOf(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.mistake(n, path, "give it a value or remove the key", "has no value")
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.decodeText(n, path, u)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, path, v)
	case reflect.Map:
		d.decodeMap(n, path, v)
	case reflect.Slice:
		d.decodeSlice(n, path, v)
	default:
		d.decodeScalar(n, path, v)
	}
}

func (d *Document) decodeStruct(n *yaml.Node, path string, v reflect.Value) {
	if from, ok := v.Addr().Interface().(FromText); ok && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		from.FromText(n.Value)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "a mapping of keys")
		return
	}
	fields, names := fieldsOf(v.Type())
	d.eachKey(n, path, func(key, value *yaml.Node) {
		index, ok := fields[key.Value]
		if !ok {
			d.unknown(n, key, path, names)
			return
		}
		d.decode(value, Join(path, key.Value), v.Field(index))
	})
}

// unknown adds a problem with a key of n that no field has.
func (d *Document) unknown(n, key *yaml.Node, path string, names []string) {
	at := Join(path, key.Value)
	if near := nearest(key.Value, names); near != "" {
		if !holds(n, near) {
			d.bad[Join(path, near)] = true // the intention is known: do not say that it is missing
		}
		d.mistake(key, at, "did you mean "+near, "unknown key")
		return
	}
	if home := d.homes[key.Value]; home != "" {
		d.mistake(key, at, "it belongs to "+home, "unknown key here")
		return
	}
	d.mistake(key, at, "known are "+strings.Join(names, ", "), "unknown key")
}

// holds reports whether the mapping n has the key.
func holds(n *yaml.Node, key string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

// homesOf maps each key of the structs within t to where it belongs, written
// as a path such as "phases[].duration"; the outermost wins.
func homesOf(t reflect.Type) map[string]string {
	type level struct {
		t    reflect.Type
		path string
	}
	homes := map[string]string{}
	for todo := []level{{t, ""}}; len(todo) > 0; todo = todo[1:] {
		at := todo[0]
		for at.t.Kind() == reflect.Slice {
			at = level{at.t.Elem(), at.path + "[]"}
		}
		if at.t.Kind() != reflect.Struct || strings.Count(at.path, ".") > 5 {
			continue
		}
		fields, names := fieldsOf(at.t)
		for _, name := range names {
			path := Join(at.path, name)
			if _, known := homes[name]; !known {
				homes[name] = path
			}
			todo = append(todo, level{at.t.Field(fields[name]).Type, path})
		}
	}
	return homes
}

func (d *Document) decodeMap(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "a mapping of keys")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	d.eachKey(n, path, func(key, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, Join(path, key.Value), item)
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
	})
}

// eachKey calls f for each key that is text and is there for the first time.
func (d *Document) eachKey(n *yaml.Node, path string, f func(key, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !d.full(); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
			d.add(locationOf(key), path, "put it in quotes if it is a name", "this key is not text")
			continue
		}
		if line, seen := first[key.Value]; seen {
			d.mistake(key, Join(path, key.Value), "", "duplicate key, first on line %d", line)
			continue
		}
		first[key.Value] = key.Line
		f(key, value)
	}
}

func (d *Document) decodeSlice(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
	}
}

func (d *Document) decodeText(n *yaml.Node, path string, u encoding.TextUnmarshaler) {
	if n.Kind != yaml.ScalarNode {
		d.wrongType(n, path, "a single value")
		return
	}
	err := u.UnmarshalText([]byte(n.Value))
	if err == nil {
		return
	}
	hint := ""
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		hint = hinted.Hint()
	}
	d.mistake(n, path, hint, "%v", err)
}

func (d *Document) decodeScalar(n *yaml.Node, path string, v reflect.Value) {
	switch kind := v.Kind(); {
	case kind == reflect.String:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			d.wrongType(n, path, "text")
			return
		}
		v.SetString(n.Value)
	case kind == reflect.Bool:
		if !plain(n) || n.Value != "true" && n.Value != "false" {
			d.wrongType(n, path, "true or false")
			return
		}
		v.SetBool(n.Value == "true")
	case v.CanInt() || v.CanUint():
		d.decodeInteger(n, path, v)
	case v.CanFloat():
		d.decodeFloat(n, path, v)
	default:
		panic(fmt.Sprintf("strictyaml: %s: no rule for the Go type %s", path, v.Type()))
	}
}

var (
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9a-zA-Z_]+$`)
	integerText = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberText  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

func (d *Document) decodeInteger(n *yaml.Node, path string, v reflect.Value) {
	if !plain(n) || !integerText.MatchString(n.Value) {
		d.wrongType(n, path, "an integer")
		return
	}
	if v.CanUint() && strings.HasPrefix(n.Value, "-") {
		d.mistake(n, path, "", "%s is negative", clip(n.Value))
		return
	}
	var err error
	if v.CanUint() {
		var x uint64
		if x, err = strconv.ParseUint(n.Value, 10, v.Type().Bits()); err == nil {
			v.SetUint(x)
		}
	} else {
		var x int64
		if x, err = strconv.ParseInt(n.Value, 10, v.Type().Bits()); err == nil {
			v.SetInt(x)
		}
	}
	if err != nil {
		d.mistake(n, path, "", "%s is too large a number", clip(n.Value))
	}
}

func (d *Document) decodeFloat(n *yaml.Node, path string, v reflect.Value) {
	if plain(n) && n.ShortTag() == "!!float" && strings.Contains(strings.ToLower(n.Value), "nan") {
		d.mistake(n, path, "", "NaN is not a number")
		return
	}
	if plain(n) && n.ShortTag() == "!!float" && strings.Contains(strings.ToLower(n.Value), "inf") {
		d.mistake(n, path, "", "must be finite")
		return
	}
	if !plain(n) || !numberText.MatchString(n.Value) {
		d.wrongType(n, path, "a number")
		return
	}
	x, err := strconv.ParseFloat(n.Value, v.Type().Bits())
	if err != nil || math.IsInf(x, 0) {
		d.mistake(n, path, "", "%s is too large a number", clip(n.Value))
		return
	}
	v.SetFloat(x)
}

// plain reports whether n is a scalar without quotes.
func plain(n *yaml.Node) bool {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0
}

// wrongType adds what was wanted, what is there, and how to write it.
func (d *Document) wrongType(n *yaml.Node, path, want string) {
	d.mistake(n, path, rewrite(n, want), "must be %s, but is %s", want, describe(n))
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch tag := n.ShortTag(); {
	case tag == "!!int" || tag == "!!float":
		return "the number " + clip(n.Value)
	case tag == "!!bool":
		return clip(n.Value)
	case tag == "!!timestamp":
		return "the date " + clip(n.Value)
	default:
		return "the text " + Quote(n.Value)
	}
}

// rewrite is a hint how a scalar would be written as what was wanted, or "".
func rewrite(n *yaml.Node, want string) string {
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	if plain(n) && want == "an integer" && leadingZero.MatchString(n.Value) {
		return "write it in decimal, without a leading 0"
	}
	number, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	isNumber := err == nil && !math.IsInf(number, 0) && !math.IsNaN(number)
	whole := isNumber && number == math.Trunc(number) && math.Abs(number) < 1<<53
	switch {
	case want == "text":
		return "write " + strconv.Quote(clip(n.Value))
	case want == "true or false" && strings.Contains("|yes|on|y|true|1|", "|"+strings.ToLower(n.Value)+"|"):
		return "write true"
	case want == "true or false" && strings.Contains("|no|off|n|false|0|", "|"+strings.ToLower(n.Value)+"|"):
		return "write false"
	case want == "a list" && n.ShortTag() == "!!str" && !strings.ContainsFunc(n.Value, oddInPath):
		return "write [" + clip(n.Value) + "]"
	case want == "an integer" && whole:
		return "write " + strconv.FormatInt(int64(number), 10)
	case want == "a number" && isNumber:
		return "write " + strconv.FormatFloat(number, 'g', -1, 64)
	}
	return ""
}

// fieldsOf maps the keys of a struct type to its fields, and lists the keys in order.
func fieldsOf(t reflect.Type) (map[string]int, []string) {
	fields, names := map[string]int{}, []string{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = i
		names = append(names, name)
	}
	return fields, names
}
