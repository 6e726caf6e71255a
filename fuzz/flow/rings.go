package main

import (
	"strings"

	"github.com/ndpool/ndpool/pool"
)

// Paths of the rings; those of streams begin with "s".
const (
	fifoQueue = "q/fifo" // nothing is put back into it
	backQueue = "q/back"
)

// ringOptions is how each ring is made. Who opens one that is there must ask for the same.
var ringOptions = map[string]pool.RingOptions{
	"s/latest":   {},
	"s/ring":     {Entries: 8},
	"s/lossless": {Entries: 5, Readers: 16, Lossless: true},
	fifoQueue:    {Entries: 48},
	backQueue:    {Entries: 200},

	"q/ping": {}, "q/pong": {Entries: 1},
	"s/ping": {}, "s/pong": {},
	"s/hub": {}, "q/spokes": {},
	"s/fast":  {Entries: 2, Lossless: true},
	"q/crowd": {Entries: 3},
	"q/deal":  {}, "s/deal-round": {}, "q/dealt": {},
	"q/fill": {Entries: hands}, "s/fill-round": {}, "q/filled": {},
}

func isStream(path string) bool { return strings.HasPrefix(path, "s") }

// weatherTeam is who works while others are killed.
func weatherTeam() (team []job) {
	add := func(role, ring string, modes ...string) {
		for _, mode := range modes {
			team = append(team, job{Role: role, Ring: ring, Mode: mode})
		}
	}
	add("writer", "s/latest", "")
	add("reader", "s/latest", modeLatest, modeLatest)
	add("writer", "s/ring", "")
	add("reader", "s/ring", modeLatest, modeNext)
	add("writer", "s/lossless", "")
	add("reader", "s/lossless", modeEvery, modeEvery, modeLatest)
	add("producer", fifoQueue, "", "")
	add("consumer", fifoQueue, modeGet, modeBatch)
	add("producer", backQueue, "", "")
	add("consumer", backQueue, modeBack, modeReceive, modeGet) // the last one makes room for what the others put back
	return team
}

// calmTeam is who waits for each other in the calm part.
func calmTeam() (team []job) {
	add := func(n int, role, ring, back string) {
		for range n {
			team = append(team, job{Role: role, Ring: ring, Back: back, Calm: true})
		}
	}
	add(1, "ping", "q/ping", "q/pong")
	add(1, "pong", "q/ping", "q/pong")
	add(1, "ping", "s/ping", "s/pong")
	add(1, "pong", "s/ping", "s/pong")
	add(1, "hub", "s/hub", "q/spokes")
	add(spokes, "spoke", "s/hub", "q/spokes")
	add(1, "fast", "s/fast", "")
	add(2, "slow", "s/fast", "")
	add(3, "crowd-put", "q/crowd", "")
	add(3, "crowd-get", "q/crowd", "")
	for _, x := range []job{{Ring: "q/deal", Back: "q/dealt", Mode: modeGet}, {Ring: "q/fill", Back: "q/filled"}} {
		for n := range 1 + hands {
			x.Role, x.Calm = "dealer", true
			if n > 0 {
				x.Role = "hand"
			}
			team = append(team, x)
		}
	}
	return team
}
