package pool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ndpool/ndpool/arena/layout"
	"github.com/ndpool/ndpool/catalog"
	"github.com/ndpool/ndpool/dtype"
)

// Attrs are the attributes of a name: strings, numbers, booleans, nil, and slices, arrays and maps of them. They are stored
// as the text of a JSON object, at most 1 MiB. Infinities and what is no number become the strings "Infinity", "-Infinity"
// and "NaN".
//
// Read back, a number without a fraction that fits is an int64, any other one a float64; lists are []any, objects
// map[string]any.
type Attrs map[string]any

// SetAttrs replaces the attributes of a name, an array's or a group's, and returns its new version. Without any the name
// has none. Options count but for Attrs and Mode: with a Version it fails with ErrVersion if somebody was faster; a group that
// was made for the sake of others becomes one that stays, and goes as Persistent says.
func (p *Pool) SetAttrs(path string, at Attrs, o ...Publish) (version uint64, err error) {
	opt := publishOptions(o)
	b := &publication{Publish: opt}
	if err = p.prepare(b, treeItem{path, Item{Attrs: at}}); err == nil {
		version, err = p.changeAttrs(b)
	}
	b.release()
	if err == ErrVersion {
		return 0, &NameError{Verb: "set attributes of", Path: path, Err: err, Asked: opt.Version, Found: b.found}
	}
	return version, p.nameError("set attributes of", path, err)
}

func (p *Pool) changeAttrs(b *publication) (version uint64, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.leave()
	return p.change(0, func(c *catalog.Change) error { return b.stageAttrs(c, p.names) })
}

// stageAttrs gives a name the same array with other attributes. The array is kept by the name.
func (b *publication) stageAttrs(c *catalog.Change, t *catalog.Table) error {
	e, err := t.Find(b.paths[0])
	if err != nil {
		return err
	}
	v := t.Value(e)
	if b.found = v.Version; b.Version != 0 && b.found != b.Version {
		return ErrVersion
	}
	if v.Owner == catalog.Implicit {
		v.Owner = b.values[0].Owner
	}
	v.Attributes = b.values[0].Attributes
	c.Replace(e, v)
	return nil
}

// storeAttrs puts attributes into a block of their own.
func (p *Pool) storeAttrs(at Attrs) (Block, error) {
	text, err := at.text()
	if err != nil {
		return Block{}, err
	}
	b, err := p.AllocBlock(len(text))
	if err != nil {
		return b, err
	}
	mem, err := b.bytes()
	if err != nil {
		b.end()
		return Block{}, err
	}
	copy(mem, text)
	return b, nil
}

// text returns the JSON text: keys sorted, no spaces.
func (at Attrs) text() ([]byte, error) {
	v, err := storable("", reflect.ValueOf(map[string]any(at)), 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(text) > layout.MaxAttributes {
		return nil, fmt.Errorf("%w: %d bytes of JSON (at most %d)", ErrAttributes, len(text), layout.MaxAttributes)
	}
	return text, nil
}

// maxAttrDepth bounds how deep attributes are nested.
const maxAttrDepth = 100

// storable returns a value made of what JSON has. key says where it is, for messages.
func storable(key string, v reflect.Value, depth int) (any, error) {
	refuse := func(why string) (any, error) {
		return nil, fmt.Errorf("%w: attribute %q: %s", ErrAttributes, key, why)
	}
	if depth > maxAttrDepth {
		return refuse(fmt.Sprintf("nested more than %d deep", maxAttrDepth))
	}
	switch v.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.Interface, reflect.Pointer:
		return storable(key, v.Elem(), depth+1)
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return refuse("a string that is not UTF-8")
		}
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return v.Uint(), nil
	case reflect.Float32, reflect.Float64:
		return number(v), nil
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = storable(fmt.Sprintf("%s[%d]", key, i), v.Index(i), depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Map:
		return storableMap(key, v, depth)
	}
	return refuse("a " + v.Type().String() + " has no form in JSON")
}

func storableMap(key string, v reflect.Value, depth int) (any, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%w: attribute %q: a %v; keys must be strings", ErrAttributes, key, v.Type())
	}
	m := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		k := it.Key().String()
		inner := k
		if key != "" {
			inner = key + "." + k
		}
		if !utf8.ValidString(k) {
			return nil, fmt.Errorf("%w: attribute %q: a key that is not UTF-8", ErrAttributes, inner)
		}
		var err error
		if m[k], err = storable(inner, it.Value(), depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// number returns a floating-point number as JSON can have it. It keeps its fraction, so that it is one again when read.
func number(v reflect.Value) any {
	f := v.Float()
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	s := strconv.FormatFloat(f, 'g', -1, v.Type().Bits())
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.Number(s)
}

// takeAttrs reads the attributes in a block that this process has a reference to, and ends that. A negative block is none.
func (p *Pool) takeAttrs(i int) (Attrs, error) {
	if i < 0 {
		return nil, nil
	}
	text, err := p.attrText(i)
	p.drop(i)
	if err != nil {
		return nil, err
	}
	return parseAttrs(text)
}

// attrText returns a private copy of the text in a block that this process holds, which is that of a JSON object.
func (p *Pool) attrText(i int) (json.RawMessage, error) {
	var buf shapeBuf
	m, shape, err := p.read(i, &buf)
	if err != nil {
		return nil, err
	}
	e, ok := p.extent(i)
	if !ok || m.dt != dtype.Uint8 || len(shape) != 1 || m.bytes > layout.MaxAttributes || m.size() > e.Size() {
		return nil, fmt.Errorf("%w: block of %v%v", ErrAttributes, m.dt, slices.Clone(shape))
	}
	text := bytes.Clone(p.arena.Data(e.Offset()+m.header, m.bytes))
	if !utf8.Valid(text) || !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return nil, fmt.Errorf("%w: the text is not that of a JSON object", ErrAttributes)
	}
	return text, nil
}

// parseAttrs reads the text of a JSON object.
func parseAttrs(text []byte) (Attrs, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var at Attrs
	if err := dec.Decode(&at); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	for k, v := range at {
		at[k] = exact(v)
	}
	return at, nil
}

// exact replaces the texts of numbers by numbers.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil && !strings.ContainsAny(v.String(), ".eE") {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String() // beyond what a float64 can be
		}
		return f
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
