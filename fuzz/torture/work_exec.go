package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
)

// exec begins a new life in the same process, which has the next seed and goes on with the rest of the input. All that this
// life holds is left as by a death; other lanes are in the middle of something.
func (l *lane) exec() error {
	rest, frozen := l.in.take()
	if frozen {
		l.in.mu.Unlock()
		return nil
	}
	next := l.workerConfig
	next.Seed, next.Again, next.Rest = l.Seed+1, true, rest
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := l.count(); err != nil {
		return err
	}
	if err := l.say(lineExec, next.Seed); err != nil {
		return err
	}
	env := []string{workerEnv + "=" + string(b)}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, workerEnv+"=") {
			env = append(env, v)
		}
	}
	l.out.Lock() // no other lane is in the middle of a line
	err = syscall.Exec("/proc/self/exe", os.Args, env)
	return faultf("exec: %v", err)
}
