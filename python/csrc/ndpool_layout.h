/*
 * Code generated from the Go package arena/layout by gen/format; DO NOT EDIT.
 *
 * The format of an ndpool segment: every byte of it. What the fields mean is in docs/FORMAT.md, the rules by which they
 * change in docs/PROTOCOL.md. Words of the segment are shm_u64 and shm_u32, which only the functions of internal/shm.h reach;
 * all numbers are little-endian.
 */
#ifndef NDPOOL_LAYOUT_H
#define NDPOOL_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "internal/shm.h"

/* xxhash64 of the format's description; a segment of another one is refused */
#define NDPOOL_FINGERPRINT UINT64_C(0x8ae27c75172b3dca)

/* first eight bytes of a segment */
#define NDPOOL_MAGIC "ndpool\032\012"

/* NumClasses is the number of slab classes; they count from 1. */
#define NDPOOL_NUM_CLASSES             19

/* MaxClassSize is the largest size that a slab serves, in bytes. */
#define NDPOOL_MAX_CLASS_SIZE          3584

/* Sizes of the structs, in bytes. */
#define NDPOOL_CONTROL_SIZE            4096
#define NDPOOL_SLOT_SIZE               128
#define NDPOOL_DESC_SIZE               256
#define NDPOOL_TICKET_SIZE             64
#define NDPOOL_PAGE_NODE_SIZE          16
#define NDPOOL_SLAB_SIZE               40
#define NDPOOL_NAME_SIZE               448
#define NDPOOL_RING_SIZE               256
#define NDPOOL_RING_READER_SIZE        16
#define NDPOOL_RING_ENTRY_SIZE         64

/* Sizes and limits of the format. */
#define NDPOOL_FORMAT_VERSION          1 /* of the whole format; a different one is refused */
#define NDPOOL_GRANULE                 64 /* bytes; everything that has an address is aligned to it */
#define NDPOOL_PAGE_SIZE               4096 /* bytes; the unit of the page allocator, whatever the hardware's page is */
#define NDPOOL_CHUNK_SIZE              2097152 /* bytes; the unit of committing and trimming physical memory */
#define NDPOOL_TABLE_STEP              262144 /* bytes of the descriptor table that are committed at a time */
#define NDPOOL_CHUNK_PAGES             512
#define NDPOOL_MAX_PROCESSES           254 /* slots; two bits of the holder set are pseudo-holders */
#define NDPOOL_MAX_ARRAYS              16777216 /* descriptors */
#define NDPOOL_MAX_TICKETS             1048576
#define NDPOOL_MAX_NAMES               1048576
#define NDPOOL_MAX_CAPACITY            UINT64_C(0x20000000000) /* bytes; 29 bits of pages */
#define NDPOOL_MIN_CAPACITY            65536
#define NDPOOL_MAX_DIMS                64
#define NDPOOL_INLINE_DIMS             8 /* dimensions that lie in the descriptor itself */
#define NDPOOL_MAX_RECORD              65536 /* bytes of a structured dtype's text */
#define NDPOOL_MAX_SLAB_BLOCKS         256 /* blocks in one slab */
#define NDPOOL_MIN_SLAB_PAGES          4 /* so that no two slabs start in the same group of four pages */
#define NDPOOL_RUN_BINS                16 /* page runs of 1..16 pages are cached like slab blocks */
#define NDPOOL_MAX_COMPONENT           255 /* bytes of one component of a name */
#define NDPOOL_MAX_NAME_DEPTH          64 /* components of a name */
#define NDPOOL_NAME_STEP               512 /* entries of the catalog whose memory is committed at a time */
#define NDPOOL_MAX_ATTRIBUTES          1048576 /* bytes of the attributes' text */
#define NDPOOL_MAX_RING_ENTRIES        65536 /* entries of a stream or queue */
#define NDPOOL_MAX_RING_READERS        1024 /* readers that the writer of a stream waits for */
#define NDPOOL_SUPERBLOCK_SIZE         4096

/* ByteOrder reads as this number on a machine of the segment's byte order. */
#define NDPOOL_BYTE_ORDER              0x1020304

/* Bits of the holder set beyond the slots. */
#define NDPOOL_IN_TRANSIT              254 /* pseudo-holder: a ticket is in flight, or an entry of a ring names the block */
#define NDPOOL_NAMED                   255 /* pseudo-holder: a name of the catalog points here */

/* Bytes of the file that processes lock with the kernel (open-file-description locks). They lie far behind the
 * end of the file; a lock needs no bytes. Slot s is locked at SlotByte+s by its owner for as long as its
 * address space lives. */
#define NDPOOL_SLOT_BYTE               UINT64_C(0x4000000000000000)
#define NDPOOL_POOL_BYTE               UINT64_C(0x40000000000000fe) /* shared: attached; exclusive: the last one out, deciding */
#define NDPOOL_BOOT_BYTE               UINT64_C(0x40000000000000ff) /* exclusive: who makes the deadlines of a segment of another boot count in this one */

/* Kinds of a region, in the order in which the regions lie in the file. */
#define NDPOOL_REGION_CONTROL          1
#define NDPOOL_REGION_SLOTS            2
#define NDPOOL_REGION_COMMITTED        3
#define NDPOOL_REGION_PAGES            4
#define NDPOOL_REGION_PAGE_TREE        5
#define NDPOOL_REGION_SLABS            6
#define NDPOOL_REGION_SLAB_SETS        7
#define NDPOOL_REGION_DESC_SET         8
#define NDPOOL_REGION_TICKET_SET       9
#define NDPOOL_REGION_TICKETS          10
#define NDPOOL_REGION_NAME_SET         11
#define NDPOOL_REGION_NAME_HEADS       12
#define NDPOOL_REGION_NAMES            13
#define NDPOOL_REGION_DESCS            14
#define NDPOOL_REGION_DATA             15
#define NDPOOL_REGION_COUNT            15

/* Flags of a segment. */
#define NDPOOL_FLAG_PERSISTENT         1 /* stays when the last process leaves */
#define NDPOOL_FLAG_RESERVED           2 /* all memory was committed at creation, and trim gives none back */
#define NDPOOL_FLAG_HUGE_PAGES         4 /* mappings are advised to use huge pages */
#define NDPOOL_FLAG_ANONYMOUS          8 /* has no name of its own: a memfd */
#define NDPOOL_FLAGS_KNOWN             15

/* Flags of a descriptor. */
#define NDPOOL_DESC_FORTRAN            1 /* first index fastest */
#define NDPOOL_DESC_HASHED             2 /* Hash is set */
#define NDPOOL_DESC_RING               4 /* the users' bytes are a Ring: a stream or a queue, and no array */
#define NDPOOL_DESC_FLAGS_KNOWN        7

/* NameImplicit is the owner of a group that was made for the sake of the names in it, and goes with the last of
 * them. */
#define NDPOOL_NAME_IMPLICIT           UINT64_C(0xffffffffffffffff)

/* NamePool is the owner of a name that stays until it is removed, but does not keep the pool. */
#define NDPOOL_NAME_POOL               UINT64_C(0xfffffffffffffffe)

/* Flags of a ring. */
#define NDPOOL_RING_LOSSLESS           1 /* the writer of a stream waits for the readers that are entered */
#define NDPOOL_RING_FLAGS_KNOWN        1

/* RingShut is the state of a queue into which nothing is put any more. */
#define NDPOOL_RING_SHUT               1

/* Kinds of a block. A block is alive while PRIVATE, or LIVE with a bit in its holder set. */
#define NDPOOL_KIND_FREE               0 /* belongs to nobody; has no extent */
#define NDPOOL_KIND_BUSY               1 /* being filled, freed, committed or trimmed by its owner */
#define NDPOOL_KIND_LIVE               2 /* shared: alive while any holder bit is set */
#define NDPOOL_KIND_CACHED             3 /* empty, kept for reuse by its owner; anybody may steal it */
#define NDPOOL_KIND_PRIVATE            4 /* allocated and not yet shared: alive as long as its owner */
#define NDPOOL_KIND_RETIRED            5 /* the descriptor has used all its generations; has no extent */

/* Phases of a slot. */
#define NDPOOL_SLOT_FREE               0 /* nobody's, and nothing in the segment names it as alive */
#define NDPOOL_SLOT_CLAIMED            1 /* a process's, which holds the slot's byte as long as it lives */
#define NDPOOL_SLOT_SWEEPING           2 /* being cleaned of a dead process's holds by whoever holds its byte */

/* Kinds of a ticket. All but TicketOpen are free for reuse; they remember how the last transfer ended. */
#define NDPOOL_TICKET_UNUSED           0
#define NDPOOL_TICKET_OPEN             1 /* in flight */
#define NDPOOL_TICKET_SPENT            2 /* adopted */
#define NDPOOL_TICKET_RECALLED         3 /* taken back by its sender */
#define NDPOOL_TICKET_EXPIRED          4 /* not adopted before its deadline, or before its receiver died */

/* Kinds of an entry of the catalog. */
#define NDPOOL_NAME_FREE               0 /* nobody's */
#define NDPOOL_NAME_LIVE               1 /* a name */
#define NDPOOL_NAME_STAGED             2 /* will be a name when the change is decided */
#define NDPOOL_NAME_REPLACING          3 /* a name; the other value counts when the change is decided */
#define NDPOOL_NAME_LEAVING            4 /* a name until the change is decided */

/* Kinds of a ring. */
#define NDPOOL_RING_STREAM             1 /* one process writes, any number read, each for itself */
#define NDPOOL_RING_QUEUE              2 /* each entry goes to one who gets it */

/* Kinds of an entry of a ring. */
#define NDPOOL_ENTRY_ARRAY             1 /* an array */
#define NDPOOL_ENTRY_BYTES             2 /* an array of bytes that is a message */
#define NDPOOL_ENTRY_PICKLE            3 /* an array of bytes that is a Python pickle */

/* MaxRunPages is the longest run of pages that an extent can tell. In a data region of MaxCapacity it is one
 * page less than all. */
#define NDPOOL_MAX_RUN_PAGES           536870911

/* Bins of a process's cache: one per slab class, one per short run of pages, and one for all that is larger. */
#define NDPOOL_LARGE_BIN               35
#define NDPOOL_NUM_BINS                36

/* State (Desc.State) */
#define NDPOOL_STATE_KIND_SHIFT            0 /* what the block is, see the kinds of a block */
#define NDPOOL_STATE_KIND_MASK             UINT64_C(0xf)
#define NDPOOL_STATE_SEALED_SHIFT          4 /* the content is immutable from now on; LIVE blocks only */
#define NDPOOL_STATE_SEALED_MASK           UINT64_C(0x10)
#define NDPOOL_STATE_OWNER_SHIFT           8 /* slot of the owner of a BUSY, CACHED or PRIVATE block; 0 for the other kinds */
#define NDPOOL_STATE_OWNER_MASK            UINT64_C(0xff00)
#define NDPOOL_STATE_EPOCH_SHIFT           16 /* number of changes of this word, modulo 2^48 */
#define NDPOOL_STATE_EPOCH_MASK            UINT64_C(0xffffffffffff0000)

/* Gen (Desc.Gen) */
#define NDPOOL_GEN_NUMBER_SHIFT            0 /* the generation; 0: the descriptor was never used */
#define NDPOOL_GEN_NUMBER_MASK             UINT64_C(0xffffffff)
#define NDPOOL_GEN_EXHAUSTED_SHIFT         32 /* all generations are used up */
#define NDPOOL_GEN_EXHAUSTED_MASK          UINT64_C(0x100000000)

/* SlotWord (Slot.Word) */
#define NDPOOL_SLOT_WORD_PHASE_SHIFT       0 /* what the slot is, see the phases of a slot */
#define NDPOOL_SLOT_WORD_PHASE_MASK        UINT64_C(0xff)
#define NDPOOL_SLOT_WORD_INCARNATION_SHIFT 32 /* number of this use of the slot */
#define NDPOOL_SLOT_WORD_INCARNATION_MASK  UINT64_C(0xffffffff00000000)

/* Ident (Ticket.Sender, Ticket.Receiver, NameValue.Owner, Ring.Writer, RingReader.Reader, RingEntry.Sender) */
#define NDPOOL_IDENT_SLOT_SHIFT            0 /* slot + 1; 0: nobody */
#define NDPOOL_IDENT_SLOT_MASK             UINT64_C(0xffffffff)
#define NDPOOL_IDENT_INCARNATION_SHIFT     32 /* of the slot */
#define NDPOOL_IDENT_INCARNATION_MASK      UINT64_C(0xffffffff00000000)

/* LockWord (Control.Lock) */
#define NDPOOL_LOCK_OWNER_SHIFT            0 /* slot of the owner + 1; 0: unlocked */
#define NDPOOL_LOCK_OWNER_MASK             UINT32_C(0xff)
#define NDPOOL_LOCK_WAITERS_SHIFT          8 /* somebody sleeps on the word */
#define NDPOOL_LOCK_WAITERS_MASK           UINT32_C(0x100)
#define NDPOOL_LOCK_INCARNATION_SHIFT      9 /* low bits of the owner's incarnation */
#define NDPOOL_LOCK_INCARNATION_MASK       UINT32_C(0xfffffe00)

/* TicketWord (Ticket.Word) */
#define NDPOOL_TICKET_WORD_KIND_SHIFT      0 /* what the ticket is, see the kinds of a ticket */
#define NDPOOL_TICKET_WORD_KIND_MASK       UINT64_C(0xff)
#define NDPOOL_TICKET_WORD_NONCE_SHIFT     32 /* number of this use of the ticket; grows with every transfer, never 0 for an open one */
#define NDPOOL_TICKET_WORD_NONCE_MASK      UINT64_C(0xffffffff00000000)

/* Extent of a run of pages (Desc.Extent) */
#define NDPOOL_EXTENT_FIRST_SHIFT          0 /* first page of the run or of the slab, counted from the start of the data region */
#define NDPOOL_EXTENT_FIRST_MASK           UINT64_C(0x1fffffff)
#define NDPOOL_EXTENT_PAGES_SHIFT          29 /* number of pages, not 0 */
#define NDPOOL_EXTENT_PAGES_MASK           UINT64_C(0x3ffffffe0000000)
#define NDPOOL_EXTENT_CLASS_SHIFT          58 /* size class of the slab, from 1; 0: a run of pages */
#define NDPOOL_EXTENT_CLASS_MASK           UINT64_C(0xfc00000000000000)

/* Extent of a slab block (Desc.Extent) */
#define NDPOOL_EXTENT_BLOCK_SHIFT          29 /* number of the block in the slab */
#define NDPOOL_EXTENT_BLOCK_MASK           UINT64_C(0x1fe0000000)

/* SlabHead (Slab.Head) */
#define NDPOOL_SLAB_CLASS_SHIFT            0 /* size class, from 1; 0: there is no slab */
#define NDPOOL_SLAB_CLASS_MASK             UINT64_C(0xff)
#define NDPOOL_SLAB_FREE_SHIFT             8 /* free blocks */
#define NDPOOL_SLAB_FREE_MASK              UINT64_C(0xffff00)
#define NDPOOL_SLAB_FIRST_SHIFT            32 /* first page of the slab */
#define NDPOOL_SLAB_FIRST_MASK             UINT64_C(0xffffffff00000000)

/* NameWord (Name.Word) */
#define NDPOOL_NAME_WORD_KIND_SHIFT        0 /* what the entry is, see the kinds of an entry of the catalog */
#define NDPOOL_NAME_WORD_KIND_MASK         UINT64_C(0xff)
#define NDPOOL_NAME_WORD_CURRENT_SHIFT     8 /* which of the two values counts */
#define NDPOOL_NAME_WORD_CURRENT_MASK      UINT64_C(0x100)
#define NDPOOL_NAME_WORD_NONCE_SHIFT       32 /* number of this use of the entry */
#define NDPOOL_NAME_WORD_NONCE_MASK        UINT64_C(0xffffffff00000000)

/* NameLockWord (Name.Lock) */
#define NDPOOL_NAME_LOCK_OWNER_SHIFT       0 /* slot of the writer + 1; 0: none */
#define NDPOOL_NAME_LOCK_OWNER_MASK        UINT32_C(0xff)
#define NDPOOL_NAME_LOCK_WAITERS_SHIFT     8 /* somebody sleeps on the word */
#define NDPOOL_NAME_LOCK_WAITERS_MASK      UINT32_C(0x100)
#define NDPOOL_NAME_LOCK_TORN_SHIFT        9 /* a writer died, and none has let go since */
#define NDPOOL_NAME_LOCK_TORN_MASK         UINT32_C(0x200)
#define NDPOOL_NAME_LOCK_INCARNATION_SHIFT 10 /* low bits of the writer's incarnation */
#define NDPOOL_NAME_LOCK_INCARNATION_MASK  UINT32_C(0xfffffc00)

/* EntryWord (RingEntry.Word) */
#define NDPOOL_ENTRY_WORD_KIND_SHIFT       0 /* what the entry carries, see the kinds of an entry of a ring */
#define NDPOOL_ENTRY_WORD_KIND_MASK        UINT64_C(0xff)
#define NDPOOL_ENTRY_WORD_ATTACHED_SHIFT   8 /* the entry belongs to the one before */
#define NDPOOL_ENTRY_WORD_ATTACHED_MASK    UINT64_C(0x100)
#define NDPOOL_ENTRY_WORD_MORE_SHIFT       32 /* how many entries behind it belong to it */
#define NDPOOL_ENTRY_WORD_MORE_MASK        UINT64_C(0xffffffff00000000)

/* Region is one entry of the superblock's directory. */
typedef struct ndpool_region {
    uint32_t kind; /* Region*; 0: no entry */
    uint32_t version; /* of the region's content; 0: reserved, nothing lies there yet */
    uint64_t offset; /* bytes from the start of the file, a multiple of PageSize */
    uint64_t size; /* bytes */
} ndpool_region;
_Static_assert(sizeof(ndpool_region) == 24, "size of region");
_Static_assert(offsetof(ndpool_region, kind) == 0, "offset of region.kind");
_Static_assert(offsetof(ndpool_region, version) == 4, "offset of region.version");
_Static_assert(offsetof(ndpool_region, offset) == 8, "offset of region.offset");
_Static_assert(offsetof(ndpool_region, size) == 16, "offset of region.size");

/* Superblock tells what the segment is and where its regions lie. Shared, truth, never changed after the
 * segment got its name. */
typedef struct ndpool_superblock {
    uint8_t magic[8]; /* see Magic */
    uint32_t version; /* of the format */
    uint32_t byte_order; /* see ByteOrder */
    uint64_t fingerprint; /* of the layout, see Fingerprint */
    uint64_t checksum; /* xxhash of the superblock with this field zero */
    uint8_t segment[16]; /* random id */
    int64_t created; /* nanoseconds since 1970 */
    uint64_t file_size; /* bytes */
    uint64_t capacity; /* bytes of the data region */
    uint32_t arrays; /* limits, chosen at creation */
    uint32_t processes;
    uint32_t tickets;
    uint32_t names;
    uint32_t flags; /* Flag* */
    uint32_t mode; /* permission bits of the file */
    int64_t grace; /* nanoseconds an undirected ticket outlives its sender */
    int64_t lock_wait; /* nanoseconds a caller waits for a lock whose owner lives */
    ndpool_region regions[16]; /* the directory, by kind - 1 */
    uint8_t reserved[3600]; /* zero */
} ndpool_superblock;
_Static_assert(sizeof(ndpool_superblock) == 4096, "size of superblock");
_Static_assert(offsetof(ndpool_superblock, magic) == 0, "offset of superblock.magic");
_Static_assert(offsetof(ndpool_superblock, version) == 8, "offset of superblock.version");
_Static_assert(offsetof(ndpool_superblock, byte_order) == 12, "offset of superblock.byte_order");
_Static_assert(offsetof(ndpool_superblock, fingerprint) == 16, "offset of superblock.fingerprint");
_Static_assert(offsetof(ndpool_superblock, checksum) == 24, "offset of superblock.checksum");
_Static_assert(offsetof(ndpool_superblock, segment) == 32, "offset of superblock.segment");
_Static_assert(offsetof(ndpool_superblock, created) == 48, "offset of superblock.created");
_Static_assert(offsetof(ndpool_superblock, file_size) == 56, "offset of superblock.file_size");
_Static_assert(offsetof(ndpool_superblock, capacity) == 64, "offset of superblock.capacity");
_Static_assert(offsetof(ndpool_superblock, arrays) == 72, "offset of superblock.arrays");
_Static_assert(offsetof(ndpool_superblock, processes) == 76, "offset of superblock.processes");
_Static_assert(offsetof(ndpool_superblock, tickets) == 80, "offset of superblock.tickets");
_Static_assert(offsetof(ndpool_superblock, names) == 84, "offset of superblock.names");
_Static_assert(offsetof(ndpool_superblock, flags) == 88, "offset of superblock.flags");
_Static_assert(offsetof(ndpool_superblock, mode) == 92, "offset of superblock.mode");
_Static_assert(offsetof(ndpool_superblock, grace) == 96, "offset of superblock.grace");
_Static_assert(offsetof(ndpool_superblock, lock_wait) == 104, "offset of superblock.lock_wait");
_Static_assert(offsetof(ndpool_superblock, regions) == 112, "offset of superblock.regions");
_Static_assert(offsetof(ndpool_superblock, reserved) == 496, "offset of superblock.reserved");

/* Control holds the words that change all the time. Shared. */
typedef struct ndpool_control {
    shm_u32 lock; /* the segment lock, see MakeLock */
    shm_u32 reserved0[15]; /* zero */
    shm_u32 space_seq; /* bumped when space was freed and somebody waits */
    shm_u32 space_flag; /* set by who waits for space */
    shm_u32 reserved1[14]; /* zero */
    shm_u32 descs; /* descriptors whose table memory is committed; grows only, under the lock */
    shm_u32 reserved2[3]; /* zero */
    shm_u64 boot[2]; /* id of the boot in which the deadlines of the tickets count */
    shm_u64 reserved3[4]; /* zero */
    shm_u32 next; /* guarded by the lock */
    shm_u32 reserved4[15]; /* zero */
    shm_u64 takeovers; /* locks of dead owners taken over */
    shm_u64 sweeps; /* dead slots swept */
    shm_u64 expired; /* tickets that expired unadopted */
    shm_u64 retired; /* descriptors whose generations ran out */
    shm_u64 stolen; /* cached blocks taken from other processes */
    shm_u64 lost; /* arrays reported lost by their process's collector */
    shm_u64 trimmed; /* chunks given back to the system */
    shm_u32 names_seq; /* bumped when the catalog changed and somebody waits for a name */
    shm_u32 names_flag; /* set by who waits for a name */
    shm_u32 names; /* entries of the catalog whose memory is committed; grows only, under the lock */
    shm_u32 commit; /* 1 while a change of the catalog is decided and not yet carried out; guarded by the lock */
    shm_u64 change; /* number of the last change of the catalog; guarded by the lock */
    shm_u64 root; /* entry + 1 of the first name in the root of the catalog; guarded by the lock */
    shm_u64 reserved[469]; /* zero */
} ndpool_control;
_Static_assert(sizeof(ndpool_control) == 4096, "size of control");
_Static_assert(offsetof(ndpool_control, lock) == 0, "offset of control.lock");
_Static_assert(offsetof(ndpool_control, reserved0) == 4, "offset of control.reserved0");
_Static_assert(offsetof(ndpool_control, space_seq) == 64, "offset of control.space_seq");
_Static_assert(offsetof(ndpool_control, space_flag) == 68, "offset of control.space_flag");
_Static_assert(offsetof(ndpool_control, reserved1) == 72, "offset of control.reserved1");
_Static_assert(offsetof(ndpool_control, descs) == 128, "offset of control.descs");
_Static_assert(offsetof(ndpool_control, reserved2) == 132, "offset of control.reserved2");
_Static_assert(offsetof(ndpool_control, boot) == 144, "offset of control.boot");
_Static_assert(offsetof(ndpool_control, reserved3) == 160, "offset of control.reserved3");
_Static_assert(offsetof(ndpool_control, next) == 192, "offset of control.next");
_Static_assert(offsetof(ndpool_control, reserved4) == 196, "offset of control.reserved4");
_Static_assert(offsetof(ndpool_control, takeovers) == 256, "offset of control.takeovers");
_Static_assert(offsetof(ndpool_control, sweeps) == 264, "offset of control.sweeps");
_Static_assert(offsetof(ndpool_control, expired) == 272, "offset of control.expired");
_Static_assert(offsetof(ndpool_control, retired) == 280, "offset of control.retired");
_Static_assert(offsetof(ndpool_control, stolen) == 288, "offset of control.stolen");
_Static_assert(offsetof(ndpool_control, lost) == 296, "offset of control.lost");
_Static_assert(offsetof(ndpool_control, trimmed) == 304, "offset of control.trimmed");
_Static_assert(offsetof(ndpool_control, names_seq) == 312, "offset of control.names_seq");
_Static_assert(offsetof(ndpool_control, names_flag) == 316, "offset of control.names_flag");
_Static_assert(offsetof(ndpool_control, names) == 320, "offset of control.names");
_Static_assert(offsetof(ndpool_control, commit) == 324, "offset of control.commit");
_Static_assert(offsetof(ndpool_control, change) == 328, "offset of control.change");
_Static_assert(offsetof(ndpool_control, root) == 336, "offset of control.root");
_Static_assert(offsetof(ndpool_control, reserved) == 344, "offset of control.reserved");

/* Slot is a place in the process table. Shared, truth: the word; the rest tells people who it is. Only the
 * process that holds the slot's byte changes it. */
typedef struct ndpool_slot {
    shm_u64 word; /* phase and incarnation, see MakeSlot */
    shm_u32 pid; /* in the process's own PID namespace */
    shm_u32 uid;
    shm_u64 attached; /* nanoseconds, CLOCK_BOOTTIME */
    shm_u64 pid_ns; /* inode of the PID namespace */
    shm_u64 comm[2]; /* the command's name, NUL padded */
    shm_u64 reserved[10]; /* zero */
} ndpool_slot;
_Static_assert(sizeof(ndpool_slot) == 128, "size of slot");
_Static_assert(offsetof(ndpool_slot, word) == 0, "offset of slot.word");
_Static_assert(offsetof(ndpool_slot, pid) == 8, "offset of slot.pid");
_Static_assert(offsetof(ndpool_slot, uid) == 12, "offset of slot.uid");
_Static_assert(offsetof(ndpool_slot, attached) == 16, "offset of slot.attached");
_Static_assert(offsetof(ndpool_slot, pid_ns) == 24, "offset of slot.pid_ns");
_Static_assert(offsetof(ndpool_slot, comm) == 32, "offset of slot.comm");
_Static_assert(offsetof(ndpool_slot, reserved) == 48, "offset of slot.reserved");

/* Dim is one dimension of an array. Shared, truth; it changes as the descriptor does that it is part of. */
typedef struct ndpool_dim {
    shm_u64 len; /* elements */
    shm_u64 stride; /* bytes */
} ndpool_dim;
_Static_assert(sizeof(ndpool_dim) == 16, "size of dim");
_Static_assert(offsetof(ndpool_dim, len) == 0, "offset of dim.len");
_Static_assert(offsetof(ndpool_dim, stride) == 8, "offset of dim.stride");

/* Desc is a descriptor: the record of one block. Shared, truth but for Tickets. State and Holders change by the
 * rules of docs/PROTOCOL.md. The other words belong to the owner while the block is BUSY, and do not change
 * while it is LIVE or PRIVATE, but for Hash, which sealing sets. */
typedef struct ndpool_desc {
    shm_u64 state; /* kind, owner, epoch; see State */
    shm_u64 gen; /* generation, and whether all of them are used up; see Gen */
    shm_u64 extent; /* where the bytes are; see Extent. Changed while FREE only, under the lock */
    shm_u64 holders[4]; /* bit p: slot p holds this block; InTransit; Named */
    shm_u32 tickets; /* open tickets of this block, and entries of rings that name it; guarded by the lock */
    shm_u32 header; /* bytes of the extent before the users' bytes, a multiple of Granule */
    shm_u64 dtype; /* code of the element type */
    shm_u64 bytes; /* users' bytes */
    shm_u32 ndim; /* dimensions */
    shm_u32 flags; /* DescFlag* */
    shm_u64 hash; /* xxhash of the users' bytes */
    ndpool_dim dims[8]; /* shape and strides; the first two lie in the same cache line as the type */
    shm_u64 names; /* values of the catalog that name this block; guarded by the lock */
    shm_u64 reserved[3]; /* zero */
} ndpool_desc;
_Static_assert(sizeof(ndpool_desc) == 256, "size of desc");
_Static_assert(offsetof(ndpool_desc, state) == 0, "offset of desc.state");
_Static_assert(offsetof(ndpool_desc, gen) == 8, "offset of desc.gen");
_Static_assert(offsetof(ndpool_desc, extent) == 16, "offset of desc.extent");
_Static_assert(offsetof(ndpool_desc, holders) == 24, "offset of desc.holders");
_Static_assert(offsetof(ndpool_desc, tickets) == 56, "offset of desc.tickets");
_Static_assert(offsetof(ndpool_desc, header) == 60, "offset of desc.header");
_Static_assert(offsetof(ndpool_desc, dtype) == 64, "offset of desc.dtype");
_Static_assert(offsetof(ndpool_desc, bytes) == 72, "offset of desc.bytes");
_Static_assert(offsetof(ndpool_desc, ndim) == 80, "offset of desc.ndim");
_Static_assert(offsetof(ndpool_desc, flags) == 84, "offset of desc.flags");
_Static_assert(offsetof(ndpool_desc, hash) == 88, "offset of desc.hash");
_Static_assert(offsetof(ndpool_desc, dims) == 96, "offset of desc.dims");
_Static_assert(offsetof(ndpool_desc, names) == 224, "offset of desc.names");
_Static_assert(offsetof(ndpool_desc, reserved) == 232, "offset of desc.reserved");

/* Ticket is the record of one transfer in flight. Shared, truth. Changed under the lock only; Word is stored
 * last. */
typedef struct ndpool_ticket {
    shm_u64 word; /* kind and nonce, see MakeTicket */
    shm_u64 handle; /* of the block: descriptor and generation */
    shm_u64 sender; /* Ident of who sent it */
    shm_u64 receiver; /* Ident of a directed ticket, else 0 */
    shm_u64 birth; /* nanoseconds, CLOCK_BOOTTIME */
    shm_u64 deadline; /* nanoseconds, CLOCK_BOOTTIME; 0 while the sender lives, and for directed tickets */
    shm_u64 reserved[2]; /* zero */
} ndpool_ticket;
_Static_assert(sizeof(ndpool_ticket) == 64, "size of ticket");
_Static_assert(offsetof(ndpool_ticket, word) == 0, "offset of ticket.word");
_Static_assert(offsetof(ndpool_ticket, handle) == 8, "offset of ticket.handle");
_Static_assert(offsetof(ndpool_ticket, sender) == 16, "offset of ticket.sender");
_Static_assert(offsetof(ndpool_ticket, receiver) == 24, "offset of ticket.receiver");
_Static_assert(offsetof(ndpool_ticket, birth) == 32, "offset of ticket.birth");
_Static_assert(offsetof(ndpool_ticket, deadline) == 40, "offset of ticket.deadline");
_Static_assert(offsetof(ndpool_ticket, reserved) == 48, "offset of ticket.reserved");

/* PageNode is a node of the page tree. Shared, derived, guarded by the lock. Node 1 is the root, node i has the
 * children 2i and 2i+1, the leaves are the chunks. All numbers are pages. */
typedef struct ndpool_page_node {
    shm_u32 start; /* free pages at the start */
    shm_u32 max; /* longest run of free pages */
    shm_u32 end; /* free pages at the end */
    shm_u32 free; /* free pages */
} ndpool_page_node;
_Static_assert(sizeof(ndpool_page_node) == 16, "size of page_node");
_Static_assert(offsetof(ndpool_page_node, start) == 0, "offset of page_node.start");
_Static_assert(offsetof(ndpool_page_node, max) == 4, "offset of page_node.max");
_Static_assert(offsetof(ndpool_page_node, end) == 8, "offset of page_node.end");
_Static_assert(offsetof(ndpool_page_node, free) == 12, "offset of page_node.free");

/* Slab is the record of a run of pages cut into blocks of one class. Shared, derived, guarded by the lock. The
 * slab that starts at page p has the record p / MinSlabPages. */
typedef struct ndpool_slab {
    shm_u64 head; /* class, free blocks and first page, see MakeSlab; 0: no slab */
    shm_u64 map[4]; /* bit set: block is free */
} ndpool_slab;
_Static_assert(sizeof(ndpool_slab) == 40, "size of slab");
_Static_assert(offsetof(ndpool_slab, head) == 0, "offset of slab.head");
_Static_assert(offsetof(ndpool_slab, map) == 8, "offset of slab.map");

/* NameValue is what a name stands for. Shared, truth; it changes as the entry does that it is part of. */
typedef struct ndpool_name_value {
    shm_u64 version; /* number of the change that stored it */
    shm_u64 array; /* handle of an array or a ring; 0: a group */
    shm_u64 attributes; /* handle of a block with JSON text; 0: none */
    shm_u64 owner; /* Ident of the process that it goes with; 0: stays until removed; NamePool; NameImplicit */
} ndpool_name_value;
_Static_assert(sizeof(ndpool_name_value) == 32, "size of name_value");
_Static_assert(offsetof(ndpool_name_value, version) == 0, "offset of name_value.version");
_Static_assert(offsetof(ndpool_name_value, array) == 8, "offset of name_value.array");
_Static_assert(offsetof(ndpool_name_value, attributes) == 16, "offset of name_value.attributes");
_Static_assert(offsetof(ndpool_name_value, owner) == 24, "offset of name_value.owner");

/* Name is an entry of the catalog: one component of a path, below its parent. Shared, truth but for the links.
 * Changed under the lock only, but for the words of its lock: Lock, Turn and Readers. Word is stored last. */
typedef struct ndpool_name {
    shm_u64 word; /* kind, which value counts, nonce; see MakeName */
    shm_u32 parent; /* entry + 1 of the group that it is in; 0: the root */
    shm_u32 bytes; /* of the component */
    ndpool_name_value values[2]; /* what the name stands for, and what it stood for or will stand for */
    shm_u32 next; /* entry + 1 of the next one with the same head */
    shm_u32 child; /* entry + 1 of the first one in this group */
    shm_u32 after; /* entry + 1 of the next one in the same group */
    shm_u32 before; /* entry + 1 of the one before in the same group */
    shm_u32 lock; /* the writer of the data, see MakeNameLock */
    shm_u32 turn; /* bumped when a reader leaves and a writer waits */
    shm_u64 touched; /* entry + 1 of the next one in the change under way */
    shm_u64 readers[4]; /* bit p: slot p has the lock as a reader */
    shm_u64 text[32]; /* the component, NUL padded */
    shm_u64 reserved[6]; /* zero */
} ndpool_name;
_Static_assert(sizeof(ndpool_name) == 448, "size of name");
_Static_assert(offsetof(ndpool_name, word) == 0, "offset of name.word");
_Static_assert(offsetof(ndpool_name, parent) == 8, "offset of name.parent");
_Static_assert(offsetof(ndpool_name, bytes) == 12, "offset of name.bytes");
_Static_assert(offsetof(ndpool_name, values) == 16, "offset of name.values");
_Static_assert(offsetof(ndpool_name, next) == 80, "offset of name.next");
_Static_assert(offsetof(ndpool_name, child) == 84, "offset of name.child");
_Static_assert(offsetof(ndpool_name, after) == 88, "offset of name.after");
_Static_assert(offsetof(ndpool_name, before) == 92, "offset of name.before");
_Static_assert(offsetof(ndpool_name, lock) == 96, "offset of name.lock");
_Static_assert(offsetof(ndpool_name, turn) == 100, "offset of name.turn");
_Static_assert(offsetof(ndpool_name, touched) == 104, "offset of name.touched");
_Static_assert(offsetof(ndpool_name, readers) == 112, "offset of name.readers");
_Static_assert(offsetof(ndpool_name, text) == 144, "offset of name.text");
_Static_assert(offsetof(ndpool_name, reserved) == 400, "offset of name.reserved");

/* Ring is the head of a ring of entries, a stream or a queue: the first of the users' bytes of a block with
 * DescRing. Behind it lie its RingReaders, then its RingEntries. Shared, truth. Changed under the lock only,
 * but for the words to wait on. Of a position s, which counts from 0 and never comes back, the entry is number
 * s modulo Entries. */
typedef struct ndpool_ring {
    shm_u32 kind; /* RingStream, RingQueue; constant */
    shm_u32 flags; /* RingFlag*; constant */
    shm_u32 entries; /* number of entries, from 1 to MaxRingEntries; constant */
    shm_u32 readers; /* number of RingReaders, at most MaxRingReaders; constant */
    shm_u64 reserved0[6]; /* zero */
    shm_u64 head; /* position behind the newest entry */
    shm_u64 tail; /* position of the oldest entry; Head if there is none */
    shm_u64 items; /* entries from Tail to Head that do not belong to the one before */
    shm_u64 writer; /* Ident of the process that writes a stream; 0: none */
    shm_u32 ends; /* twice the number of writers that have ended, plus 1 if the last one died */
    shm_u32 state; /* RingShut, or 0 */
    shm_u64 reserved1[3]; /* zero */
    shm_u32 news; /* bumped when something came and somebody waits for it */
    shm_u32 news_flag; /* set by who waits for something to come */
    shm_u64 reserved2[7]; /* zero */
    shm_u32 room; /* bumped when room came and somebody waits for it */
    shm_u32 room_flag; /* set by who waits for room */
    shm_u64 reserved3[7]; /* zero */
} ndpool_ring;
_Static_assert(sizeof(ndpool_ring) == 256, "size of ring");
_Static_assert(offsetof(ndpool_ring, kind) == 0, "offset of ring.kind");
_Static_assert(offsetof(ndpool_ring, flags) == 4, "offset of ring.flags");
_Static_assert(offsetof(ndpool_ring, entries) == 8, "offset of ring.entries");
_Static_assert(offsetof(ndpool_ring, readers) == 12, "offset of ring.readers");
_Static_assert(offsetof(ndpool_ring, reserved0) == 16, "offset of ring.reserved0");
_Static_assert(offsetof(ndpool_ring, head) == 64, "offset of ring.head");
_Static_assert(offsetof(ndpool_ring, tail) == 72, "offset of ring.tail");
_Static_assert(offsetof(ndpool_ring, items) == 80, "offset of ring.items");
_Static_assert(offsetof(ndpool_ring, writer) == 88, "offset of ring.writer");
_Static_assert(offsetof(ndpool_ring, ends) == 96, "offset of ring.ends");
_Static_assert(offsetof(ndpool_ring, state) == 100, "offset of ring.state");
_Static_assert(offsetof(ndpool_ring, reserved1) == 104, "offset of ring.reserved1");
_Static_assert(offsetof(ndpool_ring, news) == 128, "offset of ring.news");
_Static_assert(offsetof(ndpool_ring, news_flag) == 132, "offset of ring.news_flag");
_Static_assert(offsetof(ndpool_ring, reserved2) == 136, "offset of ring.reserved2");
_Static_assert(offsetof(ndpool_ring, room) == 192, "offset of ring.room");
_Static_assert(offsetof(ndpool_ring, room_flag) == 196, "offset of ring.room_flag");
_Static_assert(offsetof(ndpool_ring, reserved3) == 200, "offset of ring.reserved3");

/* RingReader is a reader that the writer of a lossless stream waits for. Shared, truth. Entered and taken out
 * under the lock; the position is its process's alone. */
typedef struct ndpool_ring_reader {
    shm_u64 reader; /* Ident of the process; 0: nobody */
    shm_u64 position; /* the next that it will read */
} ndpool_ring_reader;
_Static_assert(sizeof(ndpool_ring_reader) == 16, "size of ring_reader");
_Static_assert(offsetof(ndpool_ring_reader, reader) == 0, "offset of ring_reader.reader");
_Static_assert(offsetof(ndpool_ring_reader, position) == 8, "offset of ring_reader.position");

/* RingEntry is a place in a ring. Shared, truth. Changed under the lock only, and read without it: Number is 0
 * while the rest changes. */
typedef struct ndpool_ring_entry {
    shm_u64 number; /* position + 1; 0: being written, or never used */
    shm_u64 array; /* handle */
    shm_u64 attributes; /* handle of a block with JSON text; 0: none */
    shm_u64 word; /* what the entry is, see MakeEntry */
    shm_u64 monotonic; /* nanoseconds, CLOCK_MONOTONIC */
    shm_u64 wall; /* nanoseconds since 1970 */
    shm_u64 sender; /* Ident of who put it there */
    shm_u64 reserved; /* zero */
} ndpool_ring_entry;
_Static_assert(sizeof(ndpool_ring_entry) == 64, "size of ring_entry");
_Static_assert(offsetof(ndpool_ring_entry, number) == 0, "offset of ring_entry.number");
_Static_assert(offsetof(ndpool_ring_entry, array) == 8, "offset of ring_entry.array");
_Static_assert(offsetof(ndpool_ring_entry, attributes) == 16, "offset of ring_entry.attributes");
_Static_assert(offsetof(ndpool_ring_entry, word) == 24, "offset of ring_entry.word");
_Static_assert(offsetof(ndpool_ring_entry, monotonic) == 32, "offset of ring_entry.monotonic");
_Static_assert(offsetof(ndpool_ring_entry, wall) == 40, "offset of ring_entry.wall");
_Static_assert(offsetof(ndpool_ring_entry, sender) == 48, "offset of ring_entry.sender");
_Static_assert(offsetof(ndpool_ring_entry, reserved) == 56, "offset of ring_entry.reserved");

/* Size classes of the slabs, by class; class 0 is none. */
typedef struct ndpool_class {
    uint16_t size;   /* bytes of a block */
    uint16_t pages;  /* of a slab */
    uint16_t blocks; /* in a slab */
} ndpool_class;
static const ndpool_class ndpool_classes[NDPOOL_NUM_CLASSES + 1] = {
    {0, 0, 0},
    {64, 4, 256},
    {128, 4, 128},
    {192, 6, 128},
    {256, 4, 64},
    {320, 5, 64},
    {384, 6, 64},
    {448, 7, 64},
    {512, 4, 32},
    {640, 5, 32},
    {768, 6, 32},
    {896, 7, 32},
    {1024, 4, 16},
    {1280, 5, 16},
    {1536, 6, 16},
    {1792, 7, 16},
    {2048, 4, 8},
    {2560, 5, 8},
    {3072, 6, 8},
    {3584, 7, 8},
};

/* The class by size in granules, rounded up. */
static const uint8_t ndpool_class_of[NDPOOL_MAX_CLASS_SIZE / NDPOOL_GRANULE + 1] = {
    1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10, 11, 11, 12,
    12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15, 16, 16, 16,
    16, 17, 17, 17, 17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 18,
    18, 19, 19, 19, 19, 19, 19, 19, 19,
};

#endif /* NDPOOL_LAYOUT_H */
