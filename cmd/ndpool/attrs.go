package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/ndpool/ndpool/pool"
)

// attrsCmd shows and sets the attributes of a name.
type attrsCmd struct {
	Name   string   `arg:"" help:"Name of the pool."`
	Path   string   `arg:"" help:"Name of an array or of a group."`
	Attrs  []string `arg:"" optional:"" name:"key[=json]" help:"KEY shows a value, KEY=VALUE sets one: JSON, or a text that is none."`
	Delete []string `short:"x" placeholder:"KEY" help:"Remove an attribute; may be repeated."`
}

// Help tells what --help tells beyond the flags.
func (attrsCmd) Help() string {
	return `Without keys all attributes are shown, as a JSON object. With one key its value alone: a text without quotes if it is clear that
it is one, all else as JSON. All that is set and removed by one command changes at once, on top of what others have set.

Examples:

    ndpool attrs lab camera/left
    ndpool attrs lab camera/left unit=mm gain=1.5 'roi=[0, 0, 640, 480]'
    unit=$(ndpool attrs lab camera/left unit)`
}

// attempts bounds how often attributes are set that others change meanwhile.
const attempts = 1000

// Run shows or sets the attributes.
func (c *attrsCmd) Run(e *env) error {
	set, show, err := c.parse()
	if err != nil {
		return err
	}
	p, err := pool.Open(c.Name, e.options())
	if err != nil {
		return err
	}
	defer p.Close()
	it, err := item(p, c.Path)
	if err == nil && len(show) == 0 && len(set)+len(c.Delete) > 0 {
		it, err = c.change(p, it, set)
	}
	if err != nil {
		return err
	}
	v := struct {
		Name       string     `json:"name"`
		Path       string     `json:"path"`
		Version    uint64     `json:"version"`
		Attributes pool.Attrs `json:"attributes"`
	}{c.Name, c.Path, it.Version, it.Attrs}
	if len(show) > 0 {
		if v.Attributes, err = only(it.Attrs, show); err != nil {
			return fmt.Errorf("attrs %s: %w", oneLine(c.Path), err)
		}
	}
	return e.emit(v, func(w io.Writer) {
		switch {
		case len(set)+len(c.Delete) > 0:
			fmt.Fprintf(w, "%s: %s, version %d\n", oneLine(c.Path), plural(len(it.Attrs), "attribute", "attributes"), it.Version)
		case len(show) == 1:
			fmt.Fprintln(w, valueText(v.Attributes[show[0]]))
		default:
			fmt.Fprintln(w, encode(v.Attributes, "  "))
		}
	})
}

// parse reads the keys to show, and those to set with their values. It is one or the other.
func (c *attrsCmd) parse() (set pool.Attrs, show []string, err error) {
	set = pool.Attrs{}
	for _, word := range c.Attrs {
		key, text, isSet := strings.Cut(word, "=")
		if !isSet {
			show = append(show, key)
			continue
		}
		if set[key], err = value(text); err != nil {
			return nil, nil, err
		}
	}
	if len(show) > 0 && len(set)+len(c.Delete) > 0 {
		return nil, nil, usageError(fmt.Sprintf("attrs: %q alone shows a value: set and remove in another command", show[0]))
	}
	return set, show, nil
}

// value reads JSON, or takes a text as it is. Integers stay integers.
func value(text string) (any, error) {
	if !json.Valid([]byte(text)) {
		return text, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return exact(v), err
}

// exact replaces the texts of numbers by integers, if they are, and else by the nearest floating-point number.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64() // an infinity if it is beyond
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

// item returns the attributes and the version of a name.
func item(p *pool.Pool, path string) (pool.Item, error) {
	it, err := p.LookupItem(root(path), true)
	if err == nil && it.Array != nil {
		it.Array.Release()
		it.Array = nil
	}
	if it.Attrs == nil {
		it.Attrs = pool.Attrs{}
	}
	return it, err
}

// change sets and removes attributes, and starts again from what is there if somebody was faster.
func (c *attrsCmd) change(p *pool.Pool, it pool.Item, set pool.Attrs) (pool.Item, error) {
	for range attempts {
		for _, key := range c.Delete {
			if _, ok := it.Attrs[key]; !ok {
				return it, fmt.Errorf("attrs %s: %w: %s", oneLine(c.Path), errNoAttribute, oneLine(key))
			}
			delete(it.Attrs, key)
		}
		maps.Copy(it.Attrs, set)
		version, err := p.SetAttrs(root(c.Path), it.Attrs, pool.Publish{Version: it.Version, Persistent: true})
		if err == nil {
			it.Version = version
			return it, nil
		}
		if !errors.Is(err, pool.ErrVersion) {
			return it, err
		}
		if it, err = item(p, c.Path); err != nil {
			return it, err
		}
	}
	return it, fmt.Errorf("attrs %s: others changed it %d times meanwhile", oneLine(c.Path), attempts)
}

var errNoAttribute = errors.New("no such attribute")

// only returns the attributes of some keys.
func only(all pool.Attrs, keys []string) (pool.Attrs, error) {
	some := pool.Attrs{}
	for _, key := range keys {
		v, ok := all[key]
		if !ok {
			return nil, fmt.Errorf("%w: %s", errNoAttribute, oneLine(key))
		}
		some[key] = v
	}
	return some, nil
}

// valueText writes a value so that it can be given back to be set: JSON, or a text as it is if it cannot be taken for JSON.
func valueText(v any) string {
	if s, ok := v.(string); ok && !json.Valid([]byte(s)) && oneLine(s) == s {
		return s
	}
	return encode(v, "")
}

// encode returns JSON that cannot steer a terminal.
func encode(v any, indent string) string {
	var b strings.Builder
	if err := writeJSON(&b, v, indent); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// writeJSON writes a JSON document that cannot steer a terminal, and a newline.
func writeJSON(w io.Writer, v any, indent string) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(b.String()))
	return err
}

// escaped writes what cannot be printed as JSON escapes.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch hi, lo := utf16.EncodeRune(r); {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
