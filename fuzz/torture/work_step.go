package main

import (
	"slices"
	"time"
)

// op is a kind of operation.
type op struct {
	name   string
	weight int
	class  string // that leaves it out, if it is in workerConfig.No
	waits  bool   // on purpose, so that it is no stall
	timely bool   // rests on time, so that it is left out in lockstep
	empty  bool   // can be done without any array
	do     func(*lane) error
}

// ops are all kinds of operations. Workers in Python have most of them, and fork: see worker/step.py.
var ops []op

func init() { // or it would refer to itself
	ops = []op{
		{name: "alloc", weight: 250, empty: true, do: (*lane).alloc},
		{name: "alloc_wait", weight: 5, empty: true, waits: true, timely: true, do: (*lane).allocWait},
		{name: "private", weight: 40, empty: true, do: (*lane).private},
		{name: "block", weight: 30, empty: true, do: (*lane).block},
		{name: "flood", weight: 1, empty: true, do: (*lane).flood},
		{name: "release", weight: 250, do: (*lane).releaseAny},
		{name: "check", weight: 50, do: (*lane).checkAny},
		{name: "retain", weight: 20, do: (*lane).retainAgain},
		{name: "seal", weight: 20, do: (*lane).seal},
		{name: "hash", weight: 10, do: (*lane).checkHash},
		{name: "view", weight: 40, do: (*lane).view},
		{name: "handle", weight: 60, do: (*lane).giveHandle},
		{name: "send", weight: 80, do: (*lane).send},
		{name: "sendto", weight: 40, do: (*lane).sendTo},
		{name: "message", weight: 40, do: (*lane).message},
		{name: "recall", weight: 15, do: (*lane).recall},
		{name: "recall_older", weight: 5, empty: true, do: (*lane).recallOlder},
		{name: "refuse", weight: 5, empty: true, do: (*lane).refuse},
		{name: "forge", weight: 40, do: (*lane).forge},
		{name: "publish", weight: 30, do: (*lane).publishOne},
		{name: "publish_tree", weight: 15, do: (*lane).publishTree},
		{name: "lookup", weight: 30, empty: true, do: (*lane).lookup},
		{name: "lookup_tree", weight: 15, empty: true, do: (*lane).lookupTree},
		{name: "list", weight: 10, empty: true, do: (*lane).list},
		{name: "attrs", weight: 15, empty: true, do: (*lane).setAttrs},
		{name: "remove", weight: 15, empty: true, do: (*lane).removeName},
		{name: "lock", weight: 20, empty: true, waits: true, timely: true, do: (*lane).locked},
		{name: "trylock", weight: 10, empty: true, do: (*lane).tryLocked},
		{name: "end_ring", weight: 6, empty: true, do: (*lane).endRing},
		{name: "frame_put", weight: 30, empty: true, waits: true, do: (*lane).publishFrame},
		{name: "frame_get", weight: 30, empty: true, waits: true, do: (*lane).readFrame},
		{name: "queue_put", weight: 25, waits: true, do: (*lane).put},
		{name: "queue_get", weight: 30, empty: true, waits: true, do: (*lane).get},
		{name: "queue_own", weight: 8, do: (*lane).ownQueue},
		{name: "feed", weight: 2, empty: true, waits: true, timely: true, do: (*lane).feed},
		{name: "shut", weight: 1, empty: true, do: (*lane).shut},
		{name: "file", weight: 6, class: "files", do: (*lane).file},
		{name: "clone", weight: 10, class: "clone", do: (*lane).clone},
		{name: "second", weight: 15, class: "second", empty: true, do: (*lane).second},
		{name: "peek", weight: 2, do: (*lane).peek},
		{name: "look", weight: 6, empty: true, do: (*lane).look},
		{name: "verify", weight: 2, empty: true, do: (*lane).verify},
		{name: "hold_lock", weight: 2, empty: true, do: (*lane).holdLock},
		{name: "trim", weight: 2, empty: true, do: (*lane).trim},
		{name: "reap", weight: 2, empty: true, do: (*lane).reap},
		{name: "sleep", weight: 6, empty: true, waits: true, timely: true, do: (*lane).sleep},
		{name: "exec", weight: 1, class: "exec", empty: true, do: (*lane).exec},
	}
}

// maxHeld is how many arrays a lane holds at most.
const maxHeld = 40

// choose returns an operation that can be done now.
func (l *lane) choose() *op {
	all := 0
	for k := range ops {
		if l.can(&ops[k]) {
			all += ops[k].weight
		}
	}
	n := l.rng.IntN(all)
	for k := range ops {
		if !l.can(&ops[k]) {
			continue
		}
		if n -= ops[k].weight; n < 0 {
			l.note = ops[k].name
			return &ops[k]
		}
	}
	panic("torture: no operation")
}

func (l *lane) can(o *op) bool {
	switch {
	case !o.empty && len(l.held) == 0, o.timely && l.Lockstep, o.class != "" && slices.Contains(l.No, o.class):
		return false
	case o.name == "alloc":
		return len(l.held) < maxHeld
	}
	return true
}

func (l *lane) sleep() error {
	time.Sleep(time.Duration(l.rng.IntN(2000)) * time.Microsecond)
	return nil
}

// pause sleeps for a moment, at times.
func (l *lane) pause() {
	if !l.Lockstep && l.rng.IntN(3) == 0 {
		time.Sleep(time.Duration(l.rng.IntN(1000)) * time.Microsecond)
	}
}

// remark adds to what the trace says of this operation. Nothing in it may depend on time, or on what is random in the pool.
func (l *lane) remark(text string) { l.note += " " + text }
