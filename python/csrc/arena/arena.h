/*
 * Maps a segment and keeps its processes apart: superblock, regions, the segment lock, slots, memory, fork. Twin of
 * package arena; the file names are the same.
 *
 * It knows where the regions are, not what blocks, handles or arrays are. The life of an attachment: arena_create or
 * arena_open, arena_claim (a slot, tied to the life of this address space by a kernel lock), work, arena_leave,
 * arena_close. In between, arena_lock and arena_unlock guard the derived indexes, and arena_bury takes the slot of a
 * dead process.
 *
 * All functions that can fail return NDPOOL_OK or a status, and have called fail.
 */
#ifndef NDPOOL_ARENA_H
#define NDPOOL_ARENA_H

#include <sys/types.h>

#include "arena/layout/geometry.h"
#include "arena/layout/words.h"
#include "internal/errors.h"
#include "internal/spin.h"

_Static_assert(sizeof(void *) == 8 && sizeof(off_t) == 8, "a segment does not fit a 32-bit process");

/* Where a segment's file is, and whom it may belong to. Local; the strings are the caller's, for the call only. */
typedef struct location {
    const char *dir;
    const char *name;
    int fd; /* an open file instead of a name, if positive; the caller keeps and closes it */
    const uint32_t *uids; /* owners allowed beside this process's own user */
    size_t n_uids;
    const uint32_t *gids; /* groups whose files are allowed */
    size_t n_gids;
    bool anonymous; /* create a memfd instead of a named file */
    bool prefault;  /* touch all committed memory at attach */
} location;

/* What a segment is created with. It is stored in the superblock and never changes. Local. */
typedef struct spec {
    limits limits;
    uint32_t flags; /* NDPOOL_FLAG_* */
    uint32_t mode;  /* permission bits */
    int64_t grace;  /* nanoseconds */
    int64_t lock_wait;
} spec;

/* An open file description of its own, for the kernel's locks (F_OFD_SETLK, l_pid 0). Local. */
typedef struct ofd {
    int fd;     /* -1 once pinned, or none */
    void *page; /* the page that keeps the description open; NULL if none */
} ofd;

#define OFD_NONE ((ofd){.fd = -1})

/* One attachment to a segment. Local; the pointers lead into the shared mapping. */
typedef struct arena {
    ndpool_superblock super; /* private copy, validated once; never read from the mapping again */
    geometry geo;
    int pages, chunks, slab_count; /* of geo.limits, as they are asked for often */
    uint32_t n_slots, n_tickets, n_descs;

    ndpool_control *ctl;
    ndpool_slot *slots;
    shm_u64 *committed; /* truth: bit c set: chunk c has memory behind it */
    shm_u64 *page_bits;
    ndpool_page_node *page_tree;
    ndpool_slab *slabs;
    shm_u64 *slab_sets;
    shm_u64 *desc_set;
    shm_u64 *ticket_set;
    ndpool_ticket *tickets;
    shm_u64 *name_set;
    shm_u32 *name_heads;
    ndpool_name *names; /* memory is committed for the first ctl.names only */
    ndpool_desc *descs; /* memory is committed for the first ctl.descs only */
    uint8_t *data;      /* the data region */

    char *path; /* of the file, or a word in angle brackets */
    bool named;
    char *temp; /* temporary name while the file system needs one, else NULL */
    int fd;     /* holds no locks: it asks, commits and punches; -1: none */
    dev_t dev;  /* of the file, to know it again */
    ino_t ino;
    uint8_t *mem; /* the whole mapping, NULL if none */
    bool snapshot; /* mem is private memory: see arena_peek */

    ofd member; /* holds the pool's byte and the slot's byte; pinned */
    ofd child;  /* the same for a child that is about to be forked, from arena_fork_reserve on */
    ident child_self;
    ident self; /* 0 before arena_claim */
    lock_word word;
    spin front; /* stands before the segment lock: one thread per process contends at most */

    spin ro_once; /* guards ro */
    uint8_t *ro;  /* second mapping that faults on a store, NULL before it is asked for */
} arena;

/* ---- super.c */
uint64_t super_checksum(const ndpool_superblock *sb);
int super_check_magic(const uint8_t magic[8], const char *path);
/* Fills in a new superblock and geometry with a random segment id. */
int super_new(const spec *s, ndpool_superblock *sb, geometry *g);
/* Validates a private copy of a superblock read from path, whose file has file_size bytes, and computes the
 * geometry. */
int super_check(const ndpool_superblock *sb, const char *path, uint64_t file_size, geometry *g);

/* ---- attach.c */
int check_name(const char *name);
char *location_path(const location *loc); /* for messages; the caller frees it; NULL: no memory */
static inline bool location_named(const location *loc) { return loc->fd <= 0 && !loc->anonymous; }
/* An arena without a file; NULL: no memory. Released by arena_close. */
arena *arena_new(const location *loc);
/* Fills a new segment, whose file is mapped, and claims a slot in it. */
int arena_start(arena *a, int (*format)(arena *));
/* Makes a segment and attaches to it; format writes the derived indexes. The file has no name until the creator has
 * claimed a slot. *out is NULL on failure; else released by arena_close. */
int arena_create(const location *loc, const spec *s, int (*format)(arena *), arena **out);
/* Maps an existing segment and joins it; arena_claim comes next. With replace, a segment for which orphaned is true and
 * to which nobody is attached is removed, and the status is NDPOOL_ERR_NOT_EXIST. */
int arena_open(const location *loc, bool replace, bool (*orphaned)(arena *), arena **out);
bool arena_same_boot(arena *a);
/* Precondition: the caller holds the lock, and has set the deadlines. */
void arena_stamp_boot(arena *a);
static inline bool arena_has(const arena *a, uint32_t flag) { return a->super.flags & flag; }
/* n bytes from byte off of the data region. Precondition: they lie within it; callers validate extents first. */
static inline uint8_t *arena_data(const arena *a, uint64_t off) { return a->data + off; }
/* Like arena_data, from a second mapping that faults on a store, made at the first call. NULL on failure. */
uint8_t *arena_read_only(arena *a, uint64_t off);
/* Unmaps the segment and frees a. Precondition: arena_leave was called, or there never was a slot, and nobody uses the
 * mapping. */
void arena_close(arena *a);

/* ---- open.c: files; file.c: memory behind them */
/* Makes the file, maps it, lets arena_start fill it, and only then gives it its name. */
int file_create(const location *loc, arena *a, int (*format)(arena *));
int file_open(const location *loc, arena *a);
int file_open_path(const char *path, int access, int *fd); /* a file that is no symlink; the caller closes it */
int file_raise(int fd); /* moves a descriptor to 3 or above, and passes -1 and errno on */
int file_regular(arena *a, uint64_t *size);
int file_read_super(arena *a);
int arena_unlink_name(const location *loc); /* removes a segment's name without attaching; leaves foreign files alone */
void boot_id(uint64_t id[2]);
int file_is_ours(arena *a, int fd);
int file_map(arena *a, bool prefault);
int file_map_read_only(arena *a);
void file_close(arena *a); /* drops mappings and descriptor */
int file_commit(arena *a, uint64_t off, uint64_t n); /* may block; never under the segment lock */
int file_punch(arena *a, uint64_t off, uint64_t n);  /* likewise */
void arena_space(arena *a, uint64_t *free, uint64_t *total); /* bytes, of the file system */
bool arena_linked(arena *a);  /* whether the name still leads to this segment; true without a name */
int arena_unlink(arena *a);   /* removes the name if so */
int arena_file(arena *a, int *fd); /* a new descriptor of the file, which the caller closes */
void arena_lay(arena *a);     /* sets the pointers into a->mem. Precondition: super and geo are valid */

/* ---- ofd.c */
int ofd_open(arena *a, ofd *d);                            /* released by ofd_drop */
int ofd_lock(ofd *d, uint64_t byte, bool exclusive, bool *got); /* without waiting */
void ofd_unlock(ofd *d, uint64_t byte);
int ofd_pin(ofd *d); /* ties the locks to the life of the address space */
void ofd_drop(ofd *d);
/* Whether any other description holds the byte. On an error nobody knows. */
int ofd_held(arena *a, uint64_t byte, bool *held);

/* ---- lock.c */
/* Takes the segment lock; *taken: the last owner died inside, and the caller must rebuild before anything else. A
 * living owner is never robbed: after wait nanoseconds NDPOOL_ERR_LOCK_TIMEOUT. Released by arena_unlock.
 * Preconditions: there is a slot; the thread holds no stripe. */
int arena_lock(arena *a, int64_t wait, bool *taken);
void arena_unlock(arena *a);

/* ---- futex.h's two calls, clock.c, process.c, space.c */
int64_t boot_time(void);  /* CLOCK_BOOTTIME in nanoseconds */
int64_t mono_time(void);  /* CLOCK_MONOTONIC in nanoseconds */
int64_t wall_time(void);  /* nanoseconds since 1970 */
void slot_describe(ndpool_slot *s); /* who this process is, for people */
uint32_t space_wanted(arena *a);
void space_await(arena *a, uint32_t seq, int64_t ns);
void space_wake(arena *a);
static inline void space_freed(arena *a)
{
    if (shm_load32(&a->ctl->space_flag))
        space_wake(a);
}

/* ---- memory.c */
static inline bool arena_is_committed(const arena *a, int c)
{
    return shm_load64(&a->committed[c / 64]) >> (c % 64) & 1;
}
/* Preconditions: the caller owns the bytes as BUSY, and does not hold the segment lock. */
/* Place in the file and length of a chunk; the last one may be short. */
void arena_chunk(const arena *a, int c, uint64_t *off, uint64_t *size);
int arena_commit_pages(arena *a, int first, int n);
int arena_punch_chunk(arena *a, int c);
/* Puts memory behind the table from descriptor from to at least n, and says how many there are then. */
int arena_commit_descs(arena *a, uint32_t from, uint32_t n, uint32_t *to);
/* The same for the entries of the catalog. */
int arena_commit_names(arena *a, uint32_t from, uint32_t n, uint32_t *to);

/* ---- slots.c */
/* Takes on d the first slot that is free, or that is not, and whose byte can be had, and stores the phase. */
int slots_take(arena *a, ofd *d, bool is_free, int phase, ident *id, bool *got);
int arena_claim(arena *a, bool *dirty); /* dirty: sweep the own slot, then arena_activate */
void arena_activate(arena *a);
void arena_depart(arena *a);
bool arena_receives(arena *a, ident i);
/* Gives the slot back; decide runs if this was the last process, while nobody can attach. */
void arena_leave(arena *a, void (*decide)(void *), void *arg);
void arena_abandon(arena *a); /* drops the kernel's locks without a store, as death does */
bool arena_alive(arena *a, ident i);
bool arena_ident(const arena *a, uint32_t slot, ident *id); /* who has the slot now; false: nobody */
static inline uint32_t arena_slot(const arena *a) { return (uint32_t)ident_slot(a->self); }

/* A dead process's slot while it is swept. Local. */
typedef struct grave {
    uint32_t slot;
    uint32_t incarnation;
    ofd desc;
} grave;
/* *got false: the slot is free, or its owner or another sweeper lives. Else released by grave_done or grave_close. */
int arena_bury(arena *a, uint32_t slot, grave *g, bool *got);
void grave_done(arena *a, grave *g);
void grave_close(grave *g);

/* ---- fork.c: see docs/PROTOCOL.md, Fork */
/* Claims a slot for a child that is about to be forked, held by a->child. NDPOOL_ERR_PROCESSES: none is free. */
int arena_fork_reserve(arena *a);
void arena_fork_parent(arena *a); /* closes the parent's copy of a->child */
/* In the child: pins its lock and goes on as the new slot. Precondition: arena_fork_reserve agreed. If it fails the
 * child has the slot all the same, for as long as it keeps the descriptor. */
int arena_fork_child(arena *a);
/* In a child whose mappings were hidden: forgets what is the parent's. Only arena_close may follow. */
void arena_fork_lost(arena *a);
int arena_fork_hide(arena *a, bool hide); /* MADV_DONTFORK of the mappings, and back */

/* ---- peek.c */
int arena_peek(const location *loc, arena **out);
int arena_fetch(arena *a, uint64_t off, uint64_t n); /* copies bytes of the data region, where arena_data finds them */
int arena_fetch_desc(arena *a, uint32_t i);          /* copies a descriptor's first words anew */
int arena_attended(arena *a, bool *yes);

#endif
