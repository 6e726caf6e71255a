package arena

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena/layout"
)

// describe writes who this process is into its slot, for people. Nothing rests on it.
func describe(s *layout.Slot) {
	var ns unix.Stat_t
	_ = unix.Stat("/proc/self/ns/pid", &ns)
	var comm [16]byte
	if b, err := os.ReadFile("/proc/self/comm"); err == nil {
		copy(comm[:15], b)
	}
	for i, c := range comm {
		if c == '\n' {
			comm[i] = 0
		}
	}
	s.Pid.Store(uint32(os.Getpid()))
	s.Uid.Store(uint32(unix.Geteuid()))
	s.Attached.Store(uint64(BootTime()))
	s.PidNS.Store(ns.Ino)
	s.Comm[0].Store(binary.LittleEndian.Uint64(comm[:8]))
	s.Comm[1].Store(binary.LittleEndian.Uint64(comm[8:]))
}
