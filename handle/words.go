package handle

import "encoding/binary"

const (
	wordSize   = 8  // bytes of a handle or a ticket
	wordDigits = 16 // of it in text

	digits = "0123456789abcdef"
)

// appendHex appends the bytes of a word, most significant first, in hexadecimal digits.
func appendHex(b []byte, w uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[w>>shift&0xf])
	}
	return b
}

func hexString(w uint64) string {
	var b [wordDigits]byte
	return string(appendHex(b[:0], w))
}

// parseHex reads exactly 16 hexadecimal digits in lower case.
func parseHex[S string | []byte](what string, s S) (uint64, error) {
	if len(s) != wordDigits {
		return 0, invalidLen("digits of "+what, len(s), wordDigits)
	}
	var w uint64
	for i := range len(s) {
		d := digitOf(s[i])
		if d > 0xf {
			return 0, invalid(what, quoted(string(s)), "digits 0-9 and a-f")
		}
		w = w<<4 | uint64(d)
	}
	return w, nil
}

// digitOf returns the value of a hexadecimal digit in lower case, a larger number for all other bytes.
func digitOf(c byte) byte {
	if c >= '0' && c <= '9' {
		return c - '0'
	}
	if c >= 'a' && c <= 'f' {
		return c - 'a' + 10
	}
	return 0xff
}

// wordOf reads a word of exactly 8 bytes.
func wordOf(what string, b []byte) (uint64, error) {
	if len(b) != wordSize {
		return 0, invalidLen("bytes of "+what, len(b), wordSize)
	}
	return binary.LittleEndian.Uint64(b), nil
}
