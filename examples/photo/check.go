package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"

	"github.com/ndpool/ndpool/pool"
)

// poolReport is what the pool looks like when all is done.
type poolReport struct {
	Clean     bool   `json:"clean"` // Verify found no fault
	Arrays    int    `json:"arrays"`
	Transfers int    `json:"transfers"`
	Processes int    `json:"processes"` // this one
	Capacity  uint64 `json:"capacity"`
	Free      uint64 `json:"free"`
	Sweeps    uint64 `json:"sweeps"` // of dead workers
}

// wrong adds something that is not as it must be.
func (rep *report) wrong(format string, args ...any) {
	rep.Wrong = append(rep.Wrong, fmt.Sprintf(format, args...))
}

// compare wants that two images are the same, in every bit.
func (rep *report) compare(what string, got, want *image.RGBA) {
	rep.Compared++
	if !bytes.Equal(got.Pix, want.Pix) {
		rep.wrong("%s: pixels differ from those of one process", what)
	}
}

// verdict returns an error if anything was wrong.
func (rep *report) verdict() error {
	if len(rep.Wrong) == 0 {
		return nil
	}
	return errors.New("photo: not all was right; see the report")
}

// check ends the workers, gives everything back, and wants that nothing is left in the pool: no array, no transfer, no
// process and no byte that is not free, and no law of the format broken.
func (s *studio) check(f *fleet, rep *report, killed int) error {
	deaths, refused := f.buried.Load(), uint64(f.refused.Load())
	if err := f.stop(); err != nil {
		rep.wrong("a worker ended badly: %v", err)
	}
	s.release()
	if _, err := s.pool.Trim(); err != nil { // what processes kept for reuse is free afterwards
		return err
	}
	v, err := s.pool.Verify(pool.VerifyOptions{})
	if err != nil {
		return err
	}
	for _, fault := range v.Faults {
		rep.wrong("verify: %v", fault)
	}
	st, err := s.pool.Stats()
	if err != nil {
		return err
	}
	rep.Pool = poolReport{Clean: v.Clean(), Arrays: st.Arrays, Transfers: st.Transfers, Processes: st.Processes,
		Capacity: st.Capacity, Free: st.Free, Sweeps: st.Sweeps}
	if p := rep.Pool; p.Arrays != 0 || p.Transfers != 0 || p.Processes != 1 || p.Free != p.Capacity || st.Expired != refused || !v.Quiet {
		rep.wrong("left in the pool: %d arrays, %d transfers, %d bytes; %d processes, %d transfers expired or refused, %d were to be",
			p.Arrays, p.Transfers, p.Capacity-p.Free, p.Processes, st.Expired, refused)
	}
	rep.checkKill(killed, deaths)
	return nil
}

// checkKill wants that as many workers as were asked for were killed with tiles in hand, and that none died otherwise.
func (rep *report) checkKill(wanted int, deaths int64) {
	kills := rep.First.Kills
	switch {
	case len(kills) < wanted:
		rep.wrong("%d of %d workers were killed: there was no moment for it; use smaller tiles", len(kills), wanted)
	case deaths != int64(wanted) || rep.Pool.Sweeps != uint64(wanted):
		rep.wrong("%d workers died and %d were swept, %d were to", deaths, rep.Pool.Sweeps, wanted)
	}
	for _, k := range kills {
		if k.Done < 1 || len(k.Redone) == 0 {
			rep.wrong("the killed worker had nothing in hand: %+v", k)
		}
	}
}
