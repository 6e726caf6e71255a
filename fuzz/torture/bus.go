package main

import (
	"strings"
	"syscall"
	"time"

	"github.com/ndpool/ndpool/fuzz/victim"
)

// busWithin is how long after its group was short of memory a worker's bus error is counted apart.
const busWithin = 2 * time.Second

// isSqueezedBus tells whether a worker of the control group died of a bus error while the group was short of memory. The
// kernel may answer a fault so whose page cannot be counted in the group, whatever the page is of. That it was this, and not
// memory of the pool that was not there, nobody has shown: so such deaths are counted, and told of, each with what the worker
// said. Any other bus error is a failure.
func (t *torture) isSqueezedBus(c *child, err error) bool {
	return c.memory && isBus(err, c.words.String()) && time.Since(time.Unix(0, t.squeezed.Load())) < busWithin
}

// isBus tells whether a worker died of a bus error. Go ends by itself then, and says so.
func isBus(err error, words string) bool {
	return victim.Signal(err) == syscall.SIGBUS || strings.Contains(words, "SIGBUS")
}
