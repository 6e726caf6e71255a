// Package fuzz tests package pool from outside: random sequences of operations through its exported functions alone, in
// this process and in others that are killed, beside an oracle that knows what must be.
//
// The command storm below it does without an oracle, but as fast as it can.
package fuzz
