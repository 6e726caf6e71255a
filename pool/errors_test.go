package pool

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ndpool/ndpool/arena"
	"github.com/ndpool/ndpool/dtype"
	"github.com/ndpool/ndpool/handle"
	"github.com/ndpool/ndpool/internal/sentinels"
)

// TestEveryError provokes every error that this package documents.
func TestEveryError(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there are no pools here")
	}
	sentinels.Require(t, everyError, map[string]string{"ErrUnsupported": "arena/file_other_test.go, on other systems"})
}

// in returns a provocation in a new pool, whose peer is attached, too.
func in(f func(t *testing.T, p, peer *Pool) error) func(t *testing.T) error {
	return func(t *testing.T) error {
		h, p := createHeap(t, smallPool)
		return f(t, p, must(openHeap(h)))
	}
}

// second returns the error of a call that gives something, too.
func second[T any](_ T, err error) error { return err }

// inFlight returns a transfer of the peer's that nobody has adopted.
func inFlight(peer *Pool) handle.Transfer { return must(marked(peer, 1).Send()) }

var everyError = map[string]sentinels.Entry{
	"ErrClosed": {Is: ErrClosed, Provoke: in(func(t *testing.T, p, _ *Pool) error {
		require.NoError(t, p.Close())
		return second(p.Alloc(dtype.Uint8, 1))
	})},
	"ErrFull": {Is: ErrFull, Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.AllocBlock(1 << 40)) })},
	"SpaceError": {As: new(*SpaceError), Is: ErrFull, Says: `^allocate 300000 bytes: pool is full: \d+ of 262144 bytes free, largest free extent \d+; .+ holds most, 102400 bytes$`,
		Provoke: in(func(_ *testing.T, p, _ *Pool) error {
			must(p.Alloc(dtype.Uint8, 100_000))
			return second(p.Alloc(dtype.Uint8, 300_000))
		})},
	"ErrTableFull": {Is: ErrTableFull, Provoke: in(func(_ *testing.T, p, _ *Pool) (err error) {
		for err == nil {
			_, err = p.AllocBlock(1)
		}
		return err
	})},
	"TableError": {As: new(*TableError), Is: ErrTableFull, Says: `^tickets table is full: all 8 in use; .+ holds most, 8; the limit was chosen at creation$`,
		Provoke: in(func(_ *testing.T, p, _ *Pool) (err error) {
			for a := marked(p, 1); err == nil; {
				_, err = a.Send()
			}
			return err
		})},
	"ErrForeignHandle": {Is: ErrForeignHandle, Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.Retain(handle.New(1<<31, 1))) })},
	"HandleError": {As: new(*HandleError), Is: ErrForeignHandle, Says: `^handle [0-9a-f]+: handle is not of this pool \(segment [0-9a-f]+\)$`,
		Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.Retain(0xffff_ffff_ffff_fff0)) })},
	"ErrSpec": {Is: ErrSpec, Says: "-3", Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.Alloc(dtype.Uint8, -3)) })},
	"ErrMismatch": {Is: ErrMismatch, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		return second(Slice[float32](marked(p, 1)))
	})},
	"MismatchError": {As: new(*MismatchError), Is: ErrMismatch, Says: `^array: .+: got .*101.*, expected .*100`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		return second(marked(p, 1).Reshape(101))
	})},
	"ErrView": {Is: ErrView, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		return second(must(marked(p, 1).View(Range{0, 5, 1})).Send())
	})},
	"ErrCorrupt":   {Is: ErrCorrupt, Provoke: in(damaged)},
	"CorruptError": {As: new(*CorruptError), Is: ErrCorrupt, Says: `^descriptor \d+: dimensions: got 200, expected 64: segment is corrupt, run ndpool verify$`, Provoke: in(damaged)},
	"ErrOptions": {Is: ErrOptions, Says: `\b8192\b.*\b9999\b|\b9999\b.*\b8192\b`, Provoke: inFile(func(_ *testing.T, _ *Pool, o Options) error {
		return second(Open("test", Options{Dir: o.Dir, Tickets: 9999}))
	})},
	"ErrDead": {Is: ErrDead, Provoke: in(func(t *testing.T, p, peer *Pool) error {
		id := peer.Self()
		require.NoError(t, peer.Close())
		return second(marked(p, 1).SendTo(id))
	})},
	"ErrHash": {Is: ErrHash, Provoke: in(func(t *testing.T, p, _ *Pool) error {
		a := marked(p, 1)
		mem := must(a.Bytes())
		require.NoError(t, a.Seal(true))
		mem[7]++ // who keeps old memory can do that
		return a.CheckHash()
	})},
	"ErrVersion": {Is: ErrVersion, Provoke: in(otherVersion)},
	"NameError":  {As: new(*NameError), Is: ErrVersion, Says: `^publish "x": name has another version: 1 found \(7 expected\)$`, Provoke: in(otherVersion)},
	"ErrAttributes": {Is: ErrAttributes, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		return second(p.Publish("x", marked(p, 1), Publish{Attrs: Attrs{"k": make(chan int)}}))
	})},
	"ErrNotLocked": {Is: ErrNotLocked, Says: `"x"`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		publishAll(p, stay, "x")
		return must(p.LockOf("x")).Unlock()
	})},
	"ErrKind": {Is: ErrKind, Says: `"q"`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		queue(p, "q", 0)
		return second(p.Lookup("q"))
	})},
	"ErrWriter":   {Is: ErrWriter, Provoke: in(twoWriters)},
	"WriterError": {As: new(*WriterError), Is: ErrWriter, Says: `^write stream "s": process \d+ \(slot 1\) writes it$`, Provoke: in(twoWriters)},
	"ErrEnded": {Is: ErrEnded, Provoke: in(func(t *testing.T, p, peer *Pool) error {
		w, r := must(peer.StreamWriter("s")), must(p.StreamReader("s"))
		require.NoError(t, w.Close())
		err := second(r.Next(ever))
		require.NotErrorIs(t, err, ErrWriterDied)
		return err
	})},
	"ErrWriterDied": {Is: ErrWriterDied, Provoke: in(func(t *testing.T, p, peer *Pool) error {
		must(peer.StreamWriter("s"))
		r := must(p.StreamReader("s"))
		peer.arena.Abandon()
		err := second(r.Next(within(t, patience)))
		require.ErrorIs(t, err, ErrEnded)
		return err
	})},
	"ErrNoFrame": {Is: ErrNoFrame, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		must(peer.StreamWriter("s"))
		return second(must(p.StreamReader("s")).Newest())
	})},
	"ErrShut": {Is: ErrShut, Provoke: in(func(t *testing.T, p, peer *Pool) error {
		require.NoError(t, queue(peer, "q", 0).Shut())
		return must(p.Queue("q")).Put(ever, marked(p, 1))
	})},
	"ErrTooLong": {Is: ErrTooLong, Says: `\b6\b.*\b4\b`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		a := marked(p, 1)
		return queue(p, "q", 0).Put(ever, a, a, a, a, a, a)
	})},
	"ErrPath":   {Is: ErrPath, Says: `"\.\."`, Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.Lookup("a/..")) })},
	"ErrNoName": {Is: ErrNoName, Says: `"none"`, Provoke: in(func(_ *testing.T, p, _ *Pool) error { return second(p.Lookup("none")) })},
	"ErrNameTaken": {Is: ErrNameTaken, Says: `"x"`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		publishAll(p, stay, "x")
		return second(p.Publish("x", marked(p, 1)))
	})},
	"ErrGroup": {Is: ErrGroup, Says: `"g"`, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		publishAll(p, stay, "g/x")
		return second(p.Lookup("g"))
	})},
	"ErrStale": {Is: ErrStale, Says: `generation \d+ asked, \d+ found`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		a := marked(p, 1)
		h := a.Handle()
		a.Release()
		return second(peer.Retain(h))
	})},
	"ErrPrivate": {Is: ErrPrivate, Says: `block \d+`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		marked(p, 1)
		for info := range peer.Arrays() {
			return second(peer.Retain(info.Handle))
		}
		return nil
	})},
	"ErrHeld": {Is: ErrHeld, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		a := marked(p, 1)
		must(peer.Retain(a.Handle()))
		return a.Seal(false)
	})},
	"ErrSealed": {Is: ErrSealed, Provoke: in(func(_ *testing.T, p, _ *Pool) error {
		a := marked(p, 1)
		return errors.Join(a.Seal(false), a.Seal(false))
	})},
	"ErrSpent": {Is: ErrSpent, Says: `nonce \d+ asked`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		x := inFlight(peer)
		must(p.Adopt(x))
		return second(p.Adopt(x))
	})},
	"ErrExpired": {Is: ErrExpired, Says: `nonce \d+ asked`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		x := inFlight(peer)
		peer.arena.Abandon()
		must(p.Reap())
		must(p.Reap()) // grace is a nanosecond
		return second(p.Adopt(x))
	})},
	"ErrRecalled": {Is: ErrRecalled, Says: `nonce \d+ asked`, Provoke: in(func(t *testing.T, p, peer *Pool) error {
		x := inFlight(peer)
		require.NoError(t, peer.Recall(x))
		return second(p.Adopt(x))
	})},
	"ErrForged": {Is: ErrForged, Says: `nonce \d+ asked`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		x := inFlight(peer)
		x.Ticket += 1 << 40
		return second(p.Adopt(x))
	})},
	"ErrNotReceiver": {Is: ErrNotReceiver, Says: `nonce \d+ asked`, Provoke: in(func(_ *testing.T, p, peer *Pool) error {
		return second(p.Adopt(must(marked(peer, 1).SendTo(peer.Self()))))
	})},
	"ErrNotSender": {Is: ErrNotSender, Says: `nonce \d+ asked`, Provoke: in(func(_ *testing.T, p, peer *Pool) error { return p.Recall(inFlight(peer)) })},

	"ErrExist": {Is: ErrExist, Says: "test", Provoke: inFile(func(t *testing.T, _ *Pool, o Options) error {
		err := second(Create("test", o))
		require.ErrorIs(t, err, os.ErrExist)
		return err
	})},
	"ErrNotExist": {Is: ErrNotExist, Says: "other", Provoke: inFile(func(t *testing.T, _ *Pool, o Options) error {
		err := second(Open("other", o))
		require.ErrorIs(t, err, os.ErrNotExist)
		return err
	})},
	"ErrName": {Is: ErrName, Says: `a/b`, Provoke: func(*testing.T) error { return second(Create("a/b", smallPool)) }},
	"ErrFormat": {Is: ErrFormat, Says: `junk: .*got .*, expected`, Provoke: inFile(func(t *testing.T, _ *Pool, o Options) error {
		require.NoError(t, os.WriteFile(filepath.Join(o.Dir, "junk"), make([]byte, 100_000), 0o600))
		return second(Open("junk", o))
	})},
	"ErrUnclean": {Is: ErrUnclean, Says: `slot 0`, Provoke: func(t *testing.T) error {
		o := Options{Dir: testDir(t), Capacity: 1 << 20}
		p := must(Create("test", o))
		defer p.arena.Close()
		p.arena.Ctl.Boot[0].Store(p.arena.Ctl.Boot[0].Load() + 1)
		p.arena.Abandon()
		return second(Open("test", o))
	}},
	"ErrDescriptor": {Is: ErrDescriptor, Says: `descriptor \d+`, Provoke: func(t *testing.T) error {
		p := must(Create("test", Options{Dir: testDir(t), Capacity: 1 << 20}))
		replaceDescriptors(t, p.Path())
		defer p.arena.Close()
		return second(p.File())
	}},
	"ErrPermission": {Is: ErrPermission, Says: `link`, Provoke: inFile(func(t *testing.T, _ *Pool, o Options) error {
		require.NoError(t, os.Symlink(filepath.Join(o.Dir, "test"), filepath.Join(o.Dir, "link")))
		err := second(Open("link", o))
		require.ErrorIs(t, err, os.ErrPermission)
		return err
	})},
	"ErrFilesystem": {Is: ErrFilesystem, Says: `fallocate`, Provoke: func(t *testing.T) error {
		return second(Create("test", Options{Dir: mounted(t, "ramfs", ""), Capacity: 1 << 20})) // which has no fallocate
	}},
	"ErrProcesses": {Is: ErrProcesses, Says: `all 6 slots`, Provoke: func(t *testing.T) (err error) {
		h, _ := createHeap(t, smallPool)
		for err == nil {
			_, err = openHeap(h)
		}
		return err
	}},
	"ErrLockTimeout": {Is: ErrLockTimeout, Says: `process \d+ \(slot 1\) has kept the lock for [\d.]+ms and lives`, Provoke: func(t *testing.T) error {
		o := smallPool
		o.LockWait = 20 * time.Millisecond
		h, p := createHeap(t, o)
		peer := must(openHeap(h))
		a := marked(p, 1)
		require.NoError(t, peer.lock())
		defer peer.unlock()
		err := second(a.Send())
		require.ErrorAs(t, err, new(*arena.LockError))
		return err
	}},
	"ErrNoMemory": {Is: ErrNoMemory, Says: `commit \d+ bytes at .*: file system has \d+ bytes free of 65536`, Provoke: func(t *testing.T) error {
		return second(Create("test", Options{Dir: mounted(t, "tmpfs", "size=64k"), Capacity: 1 << 20}))
	}},
}

// inFile returns a provocation in a new pool of a file.
func inFile(f func(t *testing.T, p *Pool, o Options) error) func(t *testing.T) error {
	return func(t *testing.T) error {
		p, dir := newTestPool(t, Options{Capacity: 1 << 20})
		return f(t, p, Options{Dir: dir})
	}
}

// mounted returns a directory with a file system of its own.
func mounted(t *testing.T, kind, options string) string {
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Skipf("SKIPPED: CANNOT MOUNT %s (%v): an error is not provoked", kind, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// replaceDescriptors does what a program does that closes what is not its own: the descriptors of a file are another one's.
func replaceDescriptors(t *testing.T, path string) {
	var want, is unix.Stat_t
	require.NoError(t, unix.Stat(path, &want))
	null := must(os.Open(os.DevNull))
	defer null.Close()
	for fd := 3; fd < 256; fd++ {
		if unix.Fstat(fd, &is) == nil && is.Ino == want.Ino && is.Dev == want.Dev {
			require.NoError(t, unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC))
			t.Cleanup(func() { _ = unix.Close(fd) })
		}
	}
}

// damaged retains an array whose descriptor somebody has written over.
func damaged(_ *testing.T, p, peer *Pool) error {
	h := marked(p, 1).Handle()
	i, _ := p.liveBlock(h)
	ndim := &p.desc(i).NDim
	ndim.Store(200)
	defer ndim.Store(1)
	return second(peer.Retain(h))
}

func otherVersion(_ *testing.T, p, _ *Pool) error {
	publishAll(p, stay, "x")
	return second(p.Publish("x", marked(p, 1), Publish{Mode: PublishOverwrite, Version: 7}))
}

func twoWriters(_ *testing.T, p, peer *Pool) error {
	must(peer.StreamWriter("s"))
	return second(p.StreamWriter("s"))
}
