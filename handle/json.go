package handle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/ndpool/ndpool/dtype"
)

// MarshalJSON returns an object with the keys segment, handle, ticket if there is one, and view if there is one. Handles and
// tickets are strings of digits, since many readers of JSON take numbers for floating point. It fails for a message that
// Validate refuses.
func (m Message) MarshalJSON() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	b, _ := m.Segment.AppendText([]byte(`{"segment":"`))
	b = appendHex(append(b, `","handle":"`...), uint64(m.Handle))
	if m.Ticket != 0 {
		b = appendHex(append(b, `","ticket":"`...), uint64(m.Ticket))
	}
	b = append(b, '"')
	if m.View != nil {
		b = m.View.appendJSON(append(b, `,"view":`...))
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON returns. Spaces and the order of keys do not matter; unknown, repeated and missing
// keys and null are refused.
func (m *Message) UnmarshalJSON(data []byte) error {
	var msg Message
	seen, err := object("message", data, func(key string, value []byte) error {
		switch key {
		case "segment":
			return json.Unmarshal(value, &msg.Segment)
		case "handle":
			return json.Unmarshal(value, &msg.Handle)
		case "ticket":
			return json.Unmarshal(value, &msg.Ticket)
		case "view":
			msg.View = new(View)
			return msg.View.UnmarshalJSON(value)
		}
		return errKey
	}, "segment", "handle")
	if err != nil {
		return err
	}
	if seen["ticket"] && msg.Ticket == 0 {
		return invalid("ticket", msg.Ticket.String(), "none, or one that is not zero")
	}
	if err := msg.validateWords(); err != nil {
		return err
	}
	*m = msg
	return nil
}

// MarshalJSON returns an object with the keys offset, dtype, shape and strides. It fails for a view that Validate refuses.
func (v View) MarshalJSON() ([]byte, error) {
	if err := v.Validate(); err != nil {
		return nil, err
	}
	return v.appendJSON(nil), nil
}

// appendJSON writes the object. Precondition: the view is valid.
func (v View) appendJSON(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"offset":`...), v.Offset, 10)
	typ, _ := v.DType.MarshalJSON()
	b = append(append(b, `,"dtype":`...), typ...)
	b = appendInts(append(b, `,"shape":`...), v.Shape)
	b = appendInts(append(b, `,"strides":`...), v.Strides)
	return append(b, '}')
}

// UnmarshalJSON reads what MarshalJSON returns, as strictly as that of Message.
func (v *View) UnmarshalJSON(data []byte) error {
	var w View
	_, err := object("view", data, func(key string, value []byte) (err error) {
		switch key {
		case "offset":
			w.Offset, err = strconv.ParseUint(string(value), 10, 64)
		case "dtype":
			err = w.DType.UnmarshalJSON(value)
		case "shape":
			w.Shape, err = parseInts(value)
		case "strides":
			w.Strides, err = parseInts(value)
		default:
			err = errKey
		}
		return err
	}, "offset", "dtype", "shape", "strides")
	if err != nil {
		return err
	}
	if err := w.Validate(); err != nil {
		return err
	}
	*v = w
	return nil
}

// maxJSON bounds the JSON of a message: a record that grew by escapes, and dimensions of 20 digits.
const maxJSON = 6*dtype.MaxRecord + MaxDims*64 + 4096

var (
	errKey  = errors.New("expected no such key")
	errNull = errors.New("expected a value, got null")
	errSeen = errors.New("expected no key twice")
)

// object reads one JSON object and hands each member to f. It returns the keys, which are all that are required and no key
// twice. All errors wrap ErrInvalid.
func object(what string, data []byte, f func(key string, value []byte) error, required ...string) (map[string]bool, error) {
	if len(data) > maxJSON {
		return nil, invalid("bytes of "+what, strconv.Itoa(len(data)), "at most "+strconv.Itoa(maxJSON))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, invalid(what, quoted(string(data)), "a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		key, err := member(dec, seen, f)
		if err != nil {
			return nil, fmt.Errorf("handle: check key %s of %s: %w: %w", quoted(key), what, ErrInvalid, err)
		}
	}
	for _, key := range required {
		if !seen[key] {
			return nil, invalid("keys of "+what, "no "+key, "one "+key)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, invalid(what, quoted(string(data)), "a JSON object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, invalid(what, quoted(string(data)), "nothing behind the JSON object")
	}
	return seen, nil
}

// member reads one key and its value. It stops at the first key that f does not know, so that seen stays small.
func member(dec *json.Decoder, seen map[string]bool, f func(string, []byte) error) (string, error) {
	tok, err := dec.Token()
	if err != nil {
		return "", err
	}
	key, _ := tok.(string)
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return key, err
	}
	switch {
	case seen[key]:
		return key, errSeen
	case string(value) == "null":
		return key, errNull
	}
	seen[key] = true
	return key, f(key, value)
}

func appendInts(b []byte, list []int) []byte {
	b = append(b, '[')
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ']')
}

// parseInts reads a list of integers; nil if there are none. Precondition: value is JSON, so that whatever lies between
// commas and is an integer for Go is one for JSON too.
func parseInts(value []byte) ([]int, error) {
	inner, ok := bytes.CutPrefix(value, []byte("["))
	if !ok {
		return nil, errors.New("expected a list of integers")
	}
	inner = bytes.TrimSpace(bytes.TrimSuffix(inner, []byte("]")))
	if len(inner) == 0 {
		return nil, nil
	}
	parts := bytes.Split(inner, []byte(","))
	if err := checkDims(len(parts)); err != nil {
		return nil, err
	}
	list := make([]int, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(string(bytes.TrimSpace(part)))
		if err != nil {
			return nil, err
		}
		list[i] = n
	}
	return list, nil
}
