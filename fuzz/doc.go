// Package fuzz tests package pool from outside: random sequences of operations through its exported functions alone, in
// this process and in others that are killed, beside an oracle that knows what must be.
//
// The commands below it do without an oracle, but as fast as they can: torture uses all verbs while everything goes wrong that can,
// flow looks at what streams and queues promise.
package fuzz
