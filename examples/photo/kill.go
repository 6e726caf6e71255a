package main

import "time"

// killReport tells how a worker was killed.
type killReport struct {
	Kind   kind  `json:"kind"`
	Pid    int   `json:"pid"`
	Done   int   `json:"done"`   // tiles, when it was killed
	Arrays int   `json:"arrays"` // that it held then
	Redone []int `json:"redone"` // tiles that it had, and that were done by others
}

// murder kills a worker with SIGKILL when a third of the tiles are done and the pool shows that it holds an array: it
// has adopted a tile and has not finished it. There is at least one tile before, and one after.
//
// It returns nil if no such moment came.
func (r *run) murder(victim *worker) *killReport {
	for r.left.Load() > 0 && r.interrupted.Err() == nil {
		if done := int(r.done.Load()); done >= max(1, len(r.tiles)/3) {
			if held := r.held(victim); held > 0 && victim.cmd.Process.Kill() == nil {
				return &killReport{Kind: victim.kind, Pid: victim.cmd.Process.Pid, Done: done, Arrays: held}
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
	return nil
}

// held returns how many arrays a worker holds, as anybody who is attached can see.
func (r *run) held(w *worker) int {
	for info := range r.pool.Processes() {
		if info.ID == w.id {
			return info.Arrays
		}
	}
	return 0
}
