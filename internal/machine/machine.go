// Package machine is what the state machines of the tests have in common.
package machine

import (
	"errors"
	"fmt"

	"pgregory.net/rapid"
)

// errNone ends an operation that has nothing to work on. Not by a Skip: rapid ends a run after many of those.
var errNone = errors.New("none")

// None ends the operation that calls it, because it has nothing to work on.
func None() { panic(errNone) }

// Operations returns what a machine can do, by name, for rapid's Repeat: the rare operations once, the common ones three
// times, and so many times alloc. Each may end by None.
func Operations(rare, common map[string]func(*rapid.T), alloc func(*rapid.T), times int) map[string]func(*rapid.T) {
	ops := map[string]func(*rapid.T){}
	for name, op := range rare {
		ops[name] = orNone(op)
	}
	for name, op := range common {
		ops[name], ops[name+" 2"], ops[name+" 3"] = orNone(op), orNone(op), orNone(op)
	}
	for n := range times {
		ops[fmt.Sprint("alloc ", n)] = orNone(alloc)
	}
	return ops
}

func orNone(op func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		defer func() {
			if r := recover(); r != nil && r != errNone {
				panic(r)
			}
		}()
		op(t)
	}
}
