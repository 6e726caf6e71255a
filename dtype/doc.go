// Package dtype knows element types as numpy knows them: what one element of an array is, how many bytes it takes and
// in which order they lie. It touches no shared memory.
//
// Vocabulary:
//
//   - A kind is numpy's dtype.kind, one letter: b i u f c M m S U V.
//   - An order is the byte order of the numbers in an element. Types whose elements are single bytes have none.
//   - A unit and its multiple belong to datetime64 and timedelta64: "<M8[10ms]" counts tens of milliseconds.
//   - A structured type has named fields at byte offsets. A field may be a sub-array, and may be structured itself.
//   - A code is the 64-bit form of a type, as it lies in a descriptor. Every type has exactly one code.
//   - A record is the text of a structured type, as it lies in a block beside the code. Every type has exactly one record.
//
// There are three ways to a type. Predeclared variables and constructors: [Float32], [Unicode], [Struct]. Text in
// numpy's spelling: [Parse]. A Go type: [Of]. [Matches] tells whether a slice of a Go type may be laid over an array.
//
// Codes and records come from other processes and may be anything: [FromCode], [FromRecord] and [FromStored] check
// every bit and never panic. A constructor that cannot return an error panics when its argument is out of range, since
// that is the caller's bug.
//
// A [Type] is an immutable value of 16 bytes and may be used by any number of goroutines.
//
// # Records
//
// The record of a structured type is a JSON object without spaces, with its keys in this order:
//
//	{"itemsize":24,"aligned":true,"fields":[["x","<f4",0],["y","<i2",4,[2,3]],["z",{"itemsize":2,"fields":[...]},16]]}
//
// "aligned" is there only if it is true: every offset is a multiple of the field's alignment, and so is the item size. A
// field is its name, its type (text, or an object if it is structured), its offset in bytes and, for a sub-array, its
// shape. Names are not empty, not repeated and hold no zero byte. They are valid UTF-8, in which only " and \ and the
// bytes below 0x20 are escaped, as \" \\ \b \f \n \r \t or \u00xx in lower case: what Python's json.dumps makes with
// separators=(",",":") and ensure_ascii=False.
package dtype
