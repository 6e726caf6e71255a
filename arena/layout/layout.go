// Package layout is the format of an ndpool segment: every byte of it, and nothing that moves.
//
// # Vocabulary
//
// A segment is one file that many processes map. It is cut into regions; a directory in the superblock says where each
// one lies. The data region holds the users' bytes; all tables lie outside of it, so that user bytes never overwrite
// them. A block is an extent of the data region that one descriptor owns. An array is a block plus
// dtype, shape and strides. A holder is a process that keeps a block alive; its slot is its place in the process table,
// and the incarnation counts the uses of that slot. A ticket is the record of one transfer in flight.
//
// # Truth and derived
//
// A struct or region is Truth when recovery reads it, and Derived when recovery writes it anew from the truth. Truth
// changes by single atomic stores in an order that leaves every crash point recoverable. Derived words may be torn by a
// death under the segment lock; whoever takes the lock over rebuilds them.
//
// Each struct says who may change it. All words are little-endian. The structs hold no pointers and no implicit padding;
// layout_test.go proves both. The C header and the tables of docs/FORMAT.md are generated from this package.
package layout

import "github.com/ndpool/ndpool/internal/shm"

//go:generate go run ./gen/classes
//go:generate go run ./gen/format

// Sizes and limits of the format.
const (
	Version = 1 // of the whole format; a different one is refused

	Granule   = 64        // bytes; everything that has an address is aligned to it
	PageSize  = 4096      // bytes; the unit of the page allocator, whatever the hardware's page is
	ChunkSize = 2 << 20   // bytes; the unit of committing and trimming physical memory
	TableStep = 256 << 10 // bytes of the descriptor table that are committed at a time

	ChunkPages = ChunkSize / PageSize

	MaxProcesses   = 254     // slots; two bits of the holder set are pseudo-holders
	MaxArrays      = 1 << 24 // descriptors
	MaxTickets     = 1 << 20
	MaxNames       = 1 << 20
	MaxCapacity    = 1 << 41 // bytes; 29 bits of pages
	MinCapacity    = 64 << 10
	MaxDims        = 64
	InlineDims     = 8        // dimensions that lie in the descriptor itself
	MaxRecord      = 64 << 10 // bytes of a structured dtype's text
	MaxSlabBlocks  = 256      // blocks in one slab
	MinSlabPages   = 4        // so that no two slabs start in the same group of four pages
	RunBins        = 16       // page runs of 1..16 pages are cached like slab blocks
	MaxComponent   = 255      // bytes of one component of a name
	MaxNameDepth   = 64       // components of a name
	NameStep       = 512      // entries of the catalog whose memory is committed at a time
	MaxAttributes  = 1 << 20  // bytes of the attributes' text
	MaxRingEntries = 1 << 16  // entries of a stream or queue
	MaxRingReaders = 1 << 10  // readers that the writer of a stream waits for
	SuperblockSize = 4096
)

// Magic is the first eight bytes of a segment.
var Magic = [8]byte{'n', 'd', 'p', 'o', 'o', 'l', 0x1a, '\n'}

// ByteOrder reads as this number on a machine of the segment's byte order.
const ByteOrder = 0x01020304

// Bits of the holder set beyond the slots.
const (
	InTransit = 254 // pseudo-holder: a ticket is in flight, or an entry of a ring names the block
	Named     = 255 // pseudo-holder: a name of the catalog points here
)

// Bytes of the file that processes lock with the kernel (open-file-description locks). They lie far behind the end of
// the file; a lock needs no bytes. Slot s is locked at SlotByte+s by its owner for as long as its address space lives.
const (
	SlotByte = 1 << 62
	PoolByte = SlotByte + 254 // shared: attached; exclusive: the last one out, deciding
	BootByte = SlotByte + 255 // exclusive: who makes the deadlines of a segment of another boot count in this one
)

// Kinds of a region, in the order in which the regions lie in the file.
const (
	RegionControl = iota + 1
	RegionSlots
	RegionCommitted
	RegionPages
	RegionPageTree
	RegionSlabs
	RegionSlabSets
	RegionDescSet
	RegionTicketSet
	RegionTickets
	RegionNameSet
	RegionNameHeads
	RegionNames
	RegionDescs
	RegionData

	RegionCount = RegionData
)

// RegionTitles tells the regions' names for people, by kind.
var RegionTitles = [RegionCount + 1]string{"", "control", "slots", "committed", "pages", "page-tree", "slabs", "slab-sets",
	"descriptor-set", "ticket-set", "tickets", "name-set", "name-heads", "names", "descriptors", "data"}

// Region is one entry of the superblock's directory.
type Region struct {
	Kind    uint32 // Region*; 0: no entry
	Version uint32 // of the region's content; 0: reserved, nothing lies there yet
	Offset  uint64 // bytes from the start of the file, a multiple of PageSize
	Size    uint64 // bytes
}

// Superblock tells what the segment is and where its regions lie. Shared, truth, never changed after the segment got its name.
type Superblock struct {
	Magic       [8]byte  // see Magic
	Version     uint32   // of the format
	ByteOrder   uint32   // see ByteOrder
	Fingerprint uint64   // of the layout, see Fingerprint
	Checksum    uint64   // xxhash of the superblock with this field zero
	Segment     [16]byte // random id
	Created     int64    // nanoseconds since 1970
	FileSize    uint64   // bytes
	Capacity    uint64   // bytes of the data region
	Arrays      uint32   // limits, chosen at creation
	Processes   uint32
	Tickets     uint32
	Names       uint32
	Flags       uint32                     // Flag*
	Mode        uint32                     // permission bits of the file
	Grace       int64                      // nanoseconds an undirected ticket outlives its sender
	LockWait    int64                      // nanoseconds a caller waits for a lock whose owner lives
	Regions     [16]Region                 // the directory, by kind - 1
	Reserved    [SuperblockSize - 496]byte // zero
}

// Flags of a segment.
const (
	FlagPersistent = 1 << iota // stays when the last process leaves
	FlagReserved               // all memory was committed at creation, and trim gives none back
	FlagHugePages              // mappings are advised to use huge pages
	FlagAnonymous              // has no name of its own: a memfd
	flagEnd

	FlagsKnown = flagEnd - 1
)

// Control holds the words that change all the time. Shared.
type Control struct {
	Lock      shm.U32 // truth: the segment lock, see MakeLock
	_         [15]shm.U32
	SpaceSeq  shm.U32 `free:"a futex sequence; any value will do"`        // bumped when space was freed and somebody waits
	SpaceFlag shm.U32 `free:"a hint; waiters look again after a timeout"` // set by who waits for space
	_         [14]shm.U32
	Descs     shm.U32 // truth: descriptors whose table memory is committed; grows only, under the lock
	_         [3]shm.U32
	Boot      [2]shm.U64 // truth: id of the boot in which the deadlines of the tickets count
	_         [4]shm.U64
	Next      shm.U32 `free:"a hint: where the search for a free ticket starts"` // guarded by the lock
	_         [15]shm.U32
	Takeovers shm.U64      `free:"statistics"`                                     // locks of dead owners taken over
	Sweeps    shm.U64      `free:"statistics"`                                     // dead slots swept
	Expired   shm.U64      `free:"statistics"`                                     // tickets that expired unadopted
	Retired   shm.U64      `free:"statistics"`                                     // descriptors whose generations ran out
	Stolen    shm.U64      `free:"statistics"`                                     // cached blocks taken from other processes
	Lost      shm.U64      `free:"statistics"`                                     // arrays reported lost by their process's collector
	Trimmed   shm.U64      `free:"statistics"`                                     // chunks given back to the system
	NamesSeq  shm.U32      `free:"a futex sequence; any value will do"`            // bumped when the catalog changed and somebody waits for a name
	NamesFlag shm.U32      `free:"a hint; who sleeps looks again after a timeout"` // set by who waits for a name
	Names     shm.U32      // truth: entries of the catalog whose memory is committed; grows only, under the lock
	Commit    shm.U32      // truth: 1 while a change of the catalog is decided and not yet carried out; guarded by the lock
	Change    shm.U64      // truth: number of the last change of the catalog; guarded by the lock
	Root      shm.U64      // derived: entry + 1 of the first name in the root of the catalog; guarded by the lock
	Reserved  [469]shm.U64 // zero
}

// Slot is a place in the process table. Shared, truth: the word; the rest tells people who it is.
// Only the process that holds the slot's byte changes it.
type Slot struct {
	Word     shm.U64     // phase and incarnation, see MakeSlot
	Pid      shm.U32     `free:"tells people who it is"` // in the process's own PID namespace
	Uid      shm.U32     `free:"tells people who it is"`
	Attached shm.U64     `free:"tells people since when"` // nanoseconds, CLOCK_BOOTTIME
	PidNS    shm.U64     `free:"tells people who it is"`  // inode of the PID namespace
	Comm     [2]shm.U64  `free:"tells people who it is"`  // the command's name, NUL padded
	Reserved [10]shm.U64 // zero
}

// Desc is a descriptor: the record of one block. Shared, truth but for Tickets.
// State and Holders change by the rules of docs/PROTOCOL.md. The other words belong to the owner while the block is BUSY,
// and do not change while it is LIVE or PRIVATE, but for Hash, which sealing sets.
type Desc struct {
	State   shm.U64    // kind, owner, epoch; see State
	Gen     shm.U64    // generation, and whether all of them are used up; see Gen
	Extent  shm.U64    // where the bytes are; see Extent. Changed while FREE only, under the lock
	Holders [4]shm.U64 // bit p: slot p holds this block; InTransit; Named
	Tickets shm.U32    // derived: open tickets of this block, and entries of rings that name it; guarded by the lock
	Header  shm.U32    // bytes of the extent before the users' bytes, a multiple of Granule

	DType shm.U64 // code of the element type
	Bytes shm.U64 // users' bytes
	NDim  shm.U32 // dimensions
	Flags shm.U32 // DescFlag*
	Hash  shm.U64 `free:"not read unless DescHashed; then only a check of the content notices"` // truth: xxhash of the users' bytes

	Dims     [InlineDims]Dim // truth: shape and strides; the first two lie in the same cache line as the type
	Names    shm.U64         // derived: values of the catalog that name this block; guarded by the lock
	Reserved [3]shm.U64      // zero
}

// Dim is one dimension of an array. Shared, truth; it changes as the descriptor does that it is part of.
type Dim struct {
	Len    shm.U64 `free:"not read beyond NDim, nor if Header is not 0"` // truth: elements
	Stride shm.U64 `free:"not read beyond NDim, nor if Header is not 0"` // truth: bytes
}

// Flags of a descriptor.
const (
	DescFortran = 1 << iota // first index fastest
	DescHashed              // Hash is set
	DescRing                // the users' bytes are a Ring: a stream or a queue, and no array
	descFlagEnd

	DescFlagsKnown = descFlagEnd - 1
)

// Ticket is the record of one transfer in flight. Shared, truth. Changed under the lock only; Word is stored last.
type Ticket struct {
	Word     shm.U64    // kind and nonce, see MakeTicket
	Handle   shm.U64    // of the block: descriptor and generation
	Sender   shm.U64    // Ident of who sent it
	Receiver shm.U64    // Ident of a directed ticket, else 0
	Birth    shm.U64    `free:"tells people the age"` // nanoseconds, CLOCK_BOOTTIME
	Deadline shm.U64    // nanoseconds, CLOCK_BOOTTIME; 0 while the sender lives, and for directed tickets
	Reserved [2]shm.U64 // zero
}

// Name is an entry of the catalog: one component of a path, below its parent. Shared, truth but for the links.
// Changed under the lock only, but for the words of its lock: Lock, Turn and Readers. Word is stored last.
type Name struct {
	Word     shm.U64      // kind, which value counts, nonce; see MakeName
	Parent   shm.U32      // entry + 1 of the group that it is in; 0: the root
	Bytes    shm.U32      // of the component
	Values   [2]NameValue // what the name stands for, and what it stood for or will stand for
	Next     shm.U32      // derived: entry + 1 of the next one with the same head
	Child    shm.U32      // derived: entry + 1 of the first one in this group
	After    shm.U32      // derived: entry + 1 of the next one in the same group
	Before   shm.U32      // derived: entry + 1 of the one before in the same group
	Lock     shm.U32      // truth: the writer of the data, see MakeNameLock
	Turn     shm.U32      `free:"a futex sequence; any value will do"`                // bumped when a reader leaves and a writer waits
	Touched  shm.U64      `free:"read by who holds the lock and has just written it"` // entry + 1 of the next one in the change under way
	Readers  [4]shm.U64   // truth: bit p: slot p has the lock as a reader
	Text     [32]shm.U64  // truth: the component, NUL padded
	Reserved [6]shm.U64   // zero
}

// NameValue is what a name stands for. Shared, truth; it changes as the entry does that it is part of.
type NameValue struct {
	Version    shm.U64 `free:"tells people the order of changes"` // number of the change that stored it
	Array      shm.U64 // handle of an array or a ring; 0: a group
	Attributes shm.U64 // handle of a block with JSON text; 0: none
	Owner      shm.U64 // Ident of the process that it goes with; 0: stays until removed; NamePool; NameImplicit
}

// NameImplicit is the owner of a group that was made for the sake of the names in it, and goes with the last of them.
const NameImplicit = 1<<64 - 1

// NamePool is the owner of a name that stays until it is removed, but does not keep the pool.
const NamePool = 1<<64 - 2

// Ring is the head of a ring of entries, a stream or a queue: the first of the users' bytes of a block with DescRing. Behind it
// lie its RingReaders, then its RingEntries. Shared, truth. Changed under the lock only, but for the words to wait on.
// Of a position s, which counts from 0 and never comes back, the entry is number s modulo Entries.
type Ring struct {
	Kind     shm.U32 // RingStream, RingQueue; constant
	Flags    shm.U32 // RingFlag*; constant
	Entries  shm.U32 // number of entries, from 1 to MaxRingEntries; constant
	Readers  shm.U32 // number of RingReaders, at most MaxRingReaders; constant
	_        [6]shm.U64
	Head     shm.U64 // position behind the newest entry
	Tail     shm.U64 // position of the oldest entry; Head if there is none
	Items    shm.U64 // derived: entries from Tail to Head that do not belong to the one before
	Writer   shm.U64 // Ident of the process that writes a stream; 0: none
	Ends     shm.U32 `free:"tells readers that a writer came to an end"` // twice the number of writers that have ended, plus 1 if the last one died
	State    shm.U32 // RingShut, or 0
	_        [3]shm.U64
	News     shm.U32 `free:"a futex sequence; any value will do"`            // bumped when something came and somebody waits for it
	NewsFlag shm.U32 `free:"a hint; who sleeps looks again after a timeout"` // set by who waits for something to come
	_        [7]shm.U64
	Room     shm.U32 `free:"a futex sequence; any value will do"`            // bumped when room came and somebody waits for it
	RoomFlag shm.U32 `free:"a hint; who sleeps looks again after a timeout"` // set by who waits for room
	_        [7]shm.U64
}

// Flags of a ring.
const (
	RingLossless = 1 << iota // the writer of a stream waits for the readers that are entered
	ringFlagEnd

	RingFlagsKnown = ringFlagEnd - 1
)

// RingShut is the state of a queue into which nothing is put any more.
const RingShut = 1

// RingReader is a reader that the writer of a lossless stream waits for. Shared, truth. Entered and taken out under the lock; the
// position is its process's alone.
type RingReader struct {
	Reader   shm.U64 // Ident of the process; 0: nobody
	Position shm.U64 `free:"not read unless somebody is entered"` // truth: the next that it will read
}

// RingEntry is a place in a ring. Shared, truth. Changed under the lock only, and read without it: Number is 0 while the rest
// changes.
type RingEntry struct {
	Number     shm.U64 // position + 1; 0: being written, or never used
	Array      shm.U64 // handle
	Attributes shm.U64 // handle of a block with JSON text; 0: none
	Word       shm.U64 // what the entry is, see MakeEntry
	Monotonic  shm.U64 `free:"tells people when"` // nanoseconds, CLOCK_MONOTONIC
	Wall       shm.U64 `free:"tells people when"` // nanoseconds since 1970
	Sender     shm.U64 `free:"tells people who"`  // Ident of who put it there
	Reserved   shm.U64 // zero
}

// PageNode is a node of the page tree. Shared, derived, guarded by the lock. Node 1 is the root, node i has the children
// 2i and 2i+1, the leaves are the chunks. All numbers are pages.
type PageNode struct {
	Start shm.U32 // free pages at the start
	Max   shm.U32 // longest run of free pages
	End   shm.U32 // free pages at the end
	Free  shm.U32 // free pages
}

// Slab is the record of a run of pages cut into blocks of one class. Shared, derived, guarded by the lock.
// The slab that starts at page p has the record p / MinSlabPages.
type Slab struct {
	Head shm.U64                     // class, free blocks and first page, see MakeSlab; 0: no slab
	Map  [MaxSlabBlocks / 64]shm.U64 // bit set: block is free
}
