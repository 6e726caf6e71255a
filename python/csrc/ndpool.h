/*
 * libndpool: n-dimensional arrays in one shared-memory segment that many processes map at once.
 *
 * A process allocates an array in a pool, fills it, and sends another process 16 bytes over whatever channel they
 * already have. The other process adopts the transfer and has the same array: no copy, no system call per array. The
 * memory is reused when the last holder lets go, also when holders are killed. Go, C and Python processes are equals
 * on one pool.
 *
 *     ndpool *p;
 *     ndpool_options o = NDPOOL_OPTIONS_INIT;
 *     if (ndpool_open_or_create("frames", &o, &p)) die(ndpool_last_error()->message);
 *     ndpool_array a;
 *     ndpool_alloc(p, &(ndpool_spec){.dtype = NDPOOL_FLOAT32, .ndim = 2, .shape = (int64_t[]){480, 640}}, &a);
 *     ndpool_transfer t;
 *     ndpool_send(p, a.handle, 0, &t);      // 16 bytes, to be adopted once
 *     ndpool_release(p, a.handle);          // the transfer keeps the block alive
 *
 * Status. A function that can fail returns an ndpool_status: 0, or what is wrong; ndpool_last_error tells the same in
 * words and numbers. On failure nothing has changed and out parameters are not set.
 *
 * Ownership. Each successful ndpool_alloc, ndpool_retain, ndpool_adopt, ndpool_receive and ndpool_ref gives the caller
 * one reference to a block, which he ends by ndpool_release, once. Memory must not be used after that.
 *
 * Threads and fork. All functions may be called from any thread. After fork (not vfork) the child is an attached
 * process of its own from its first instruction, with a reference for each of its parent's; it keeps and releases them
 * by itself. If the process table was full the child has no mapping, and every function says NDPOOL_ERR_FORKED.
 *
 * All sizes are bytes, all times nanoseconds.
 */
#ifndef NDPOOL_H
#define NDPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NDPOOL_API __attribute__((visibility("default")))
#else
#define NDPOOL_API
#endif

#define NDPOOL_MAX_NDIM 64

typedef enum ndpool_status {
    NDPOOL_OK = 0,
    NDPOOL_ERR_CLOSED,       /* pool is closed */
    NDPOOL_ERR_FULL,         /* no room for an array: asked, free, largest, capacity, held */
    NDPOOL_ERR_TABLE_FULL,   /* a table of fixed size is full: limit, held */
    NDPOOL_ERR_FOREIGN,      /* handle is not of this pool */
    NDPOOL_ERR_SPEC,         /* a dtype or shape that no array can have */
    NDPOOL_ERR_MISMATCH,     /* array is not what the caller takes it for */
    NDPOOL_ERR_CORRUPT,      /* segment contradicts its own format */
    NDPOOL_ERR_OPTIONS,      /* pool was created with other options */
    NDPOOL_ERR_DEAD,         /* process is not attached */
    NDPOOL_ERR_HASH,         /* content does not match its hash */
    NDPOOL_ERR_STALE,        /* block of a handle was freed meanwhile */
    NDPOOL_ERR_PRIVATE,      /* block of a handle was never shared */
    NDPOOL_ERR_HELD,         /* seal wants a sole holder */
    NDPOOL_ERR_SEALED,       /* array is sealed already */
    NDPOOL_ERR_SPENT,        /* transfer was adopted already */
    NDPOOL_ERR_EXPIRED,      /* transfer was not adopted in time */
    NDPOOL_ERR_RECALLED,     /* transfer was taken back by its sender */
    NDPOOL_ERR_FORGED,       /* transfer was never made */
    NDPOOL_ERR_NOT_RECEIVER, /* transfer is directed at another process */
    NDPOOL_ERR_NOT_SENDER,   /* only the sender can recall */
    NDPOOL_ERR_EXIST,        /* name is taken */
    NDPOOL_ERR_NOT_EXIST,    /* no pool of that name */
    NDPOOL_ERR_NAME,         /* no file can have that name */
    NDPOOL_ERR_FORMAT,       /* file is no pool of this format */
    NDPOOL_ERR_UNCLEAN,      /* left by another boot */
    NDPOOL_ERR_PERMISSION,   /* file is somebody else's, or a symlink */
    NDPOOL_ERR_FILESYSTEM,   /* file system cannot carry a pool */
    NDPOOL_ERR_PROCESSES,    /* process table is full */
    NDPOOL_ERR_LOCK_TIMEOUT, /* a living process does not let go of the lock: pid, slot */
    NDPOOL_ERR_NO_MEMORY,    /* file system is full: asked, free, capacity */
    NDPOOL_ERR_DESCRIPTOR,   /* somebody closed the segment's descriptor */
    NDPOOL_ERR_FORKED,       /* this process was forked and is not attached */
    NDPOOL_ERR_MESSAGE,      /* bytes are no message */
    NDPOOL_ERR_TIMEOUT,      /* waited long enough */
    NDPOOL_ERR_SYSTEM,       /* system call failed: sys_errno */
    NDPOOL_ERR_PATH,         /* no name of the catalog can be that */
    NDPOOL_ERR_NO_NAME,      /* catalog has no such name */
    NDPOOL_ERR_NAME_TAKEN,   /* catalog has that name already */
    NDPOOL_ERR_GROUP,        /* name is a group and should be an array's, or the other way */
    NDPOOL_ERR_VERSION,      /* name has changed meanwhile */
    NDPOOL_ERR_ATTRIBUTES,   /* attributes are too long, or damaged */
    NDPOOL_ERR_NOT_LOCKED,   /* the lock of a name is not this process's to let go */
    NDPOOL_ERR_KIND,         /* stream or queue where an array is wanted, or the other way */
    NDPOOL_ERR_WRITER,       /* another process writes the stream: pid, slot */
    NDPOOL_ERR_ENDED,        /* the writer of the stream has ended */
    NDPOOL_ERR_WRITER_DIED,  /* the writer of the stream has died */
    NDPOOL_ERR_SHUT,         /* queue was shut down */
    NDPOOL_ERR_TOO_LONG,     /* item takes more entries than there are: asked, limit */
    NDPOOL_ERR_END
} ndpool_status;

/* What went wrong last in this thread. Valid until the thread's next failure. Numbers that say nothing are 0. */
typedef struct ndpool_error {
    int status;
    int sys_errno;
    int32_t pid;       /* of the process that holds most, or keeps the lock */
    int32_t slot;
    uint64_t asked;    /* bytes */
    uint64_t free;
    uint64_t largest;  /* free extent */
    uint64_t capacity; /* of the pool, or of the file system */
    uint64_t held;     /* by the process that holds most: bytes, or entries of a table */
    uint64_t limit;    /* entries of the table */
    char message[800];
} ndpool_error;

NDPOOL_API const ndpool_error *ndpool_last_error(void);
NDPOOL_API const char *ndpool_status_name(int status); /* as "stale" */
NDPOOL_API const char *ndpool_version(void);

/* ---- pools */

typedef struct ndpool ndpool; /* one attachment */

/* How a pool is created and opened; zero fields are the defaults. The first group is stored in the segment at
 * creation; an opener that leaves a field zero takes what is there, and one that asks for something else gets
 * NDPOOL_ERR_OPTIONS. */
typedef struct ndpool_options {
    uint64_t capacity;  /* for arrays, rounded up to a page; default 1 GiB */
    int64_t arrays;     /* that can be alive at once; default: one per 16 KiB of capacity, at least 1024 */
    int64_t processes;  /* that can be attached at once, at most 254, the default */
    int64_t tickets;    /* transfers that can be in flight at once; default 8192 */
    int64_t names;      /* entries of the catalog: names and the groups they are in; default 16384 */
    uint32_t mode;      /* permission bits of the file; default 0600 */
    bool persistent;    /* keep the pool when the last process leaves */
    bool reserve;       /* commit all memory at creation */
    bool huge_pages;    /* advise the kernel to use huge pages */
    int64_t grace;      /* how long an undirected transfer outlives its sender; default 10 minutes */
    int64_t lock_wait;  /* how long to wait for a lock whose owner lives but is stopped; default 10 seconds */

    const char *dir;      /* directory of the file; default /dev/shm */
    int fd;               /* an open file instead of a name, if positive; the caller keeps it */
    bool anonymous;       /* create a memfd, which has no name and cannot be truncated */
    bool prefault;        /* map all committed memory now */
    bool observer;        /* look on: attaching sweeps nobody, leaving removes no pool that had nobody attached */
    const uint32_t *uids; /* users whose pools may be opened, beside this process's own */
    size_t n_uids;
    const uint32_t *gids; /* groups whose pools may be opened */
    size_t n_gids;
} ndpool_options;

#define NDPOOL_OPTIONS_INIT {0}

/* Each gives an attachment, released by ndpool_close and then ndpool_free. */
NDPOOL_API int ndpool_create(const char *name, const ndpool_options *o, ndpool **out);
NDPOOL_API int ndpool_open(const char *name, const ndpool_options *o, ndpool **out);
/* A pool that is not persistent and that killed processes left behind is replaced by an empty one, unless a persistent
 * name keeps it. */
NDPOOL_API int ndpool_open_or_create(const char *name, const ndpool_options *o, ndpool **out);
/* A private copy of the tables, for looking at a pool without attaching: only ndpool_stats, ndpool_get_options, the
 * functions that list, ndpool_condition, ndpool_close and ndpool_free may be called on it. */
NDPOOL_API int ndpool_peek(const char *name, const ndpool_options *o, ndpool **out);
/* Removes a pool's name. Processes that are attached go on undisturbed. */
NDPOOL_API int ndpool_unlink(const char *name, const ndpool_options *o);

/* Ends the attachment: no new work begins. Mapping, slot and holds stay until the last reference of this process is
 * released, and go with it; without any they go now. Closing twice is harmless. */
NDPOOL_API void ndpool_close(ndpool *p);
/* Closes, and frees p when the last reference is released. No other function may be called on p afterwards but
 * ndpool_release. */
NDPOOL_API void ndpool_free(ndpool *p);
/* Leaves at once, with all references: at the end of a process that will not touch the memory again. */
NDPOOL_API void ndpool_exit(ndpool *p);

NDPOOL_API bool ndpool_closed(const ndpool *p);
NDPOOL_API const char *ndpool_path(const ndpool *p);        /* of the file, or a word in angle brackets */
NDPOOL_API void ndpool_segment(const ndpool *p, uint8_t id[16]); /* random, made at creation */
NDPOOL_API void ndpool_get_options(const ndpool *p, ndpool_options *o); /* what the pool was created with */
NDPOOL_API int64_t ndpool_created(const ndpool *p);         /* nanoseconds since 1970 */
NDPOOL_API int ndpool_file(ndpool *p, int *fd);             /* a new descriptor, which the caller closes */

/* ---- arrays */

typedef uint64_t ndpool_handle;   /* bits 0-31 granule of the descriptor, bits 32-63 generation */
typedef uint64_t ndpool_ticket_t; /* bits 0-31 index, bits 32-63 nonce */
typedef uint64_t ndpool_process;  /* an attached process for as long as it lives; 0 is nobody */

typedef struct ndpool_transfer {
    ndpool_handle handle;
    ndpool_ticket_t ticket;
} ndpool_transfer;

/* The code of an element type: numpy's kind, order 0 for single bytes, 1 for little-endian, 2 for big-endian numbers,
 * and its bytes. docs/FORMAT.md tells about times and structured types. */
#define NDPOOL_DTYPE(kind, order, size) ((uint64_t)(kind) | (uint64_t)(order) << 8 | (uint64_t)(size) << 32)
#define NDPOOL_BOOL NDPOOL_DTYPE('b', 0, 1)
#define NDPOOL_INT8 NDPOOL_DTYPE('i', 0, 1)
#define NDPOOL_INT16 NDPOOL_DTYPE('i', 1, 2)
#define NDPOOL_INT32 NDPOOL_DTYPE('i', 1, 4)
#define NDPOOL_INT64 NDPOOL_DTYPE('i', 1, 8)
#define NDPOOL_UINT8 NDPOOL_DTYPE('u', 0, 1)
#define NDPOOL_UINT16 NDPOOL_DTYPE('u', 1, 2)
#define NDPOOL_UINT32 NDPOOL_DTYPE('u', 1, 4)
#define NDPOOL_UINT64 NDPOOL_DTYPE('u', 1, 8)
#define NDPOOL_FLOAT32 NDPOOL_DTYPE('f', 1, 4)
#define NDPOOL_FLOAT64 NDPOOL_DTYPE('f', 1, 8)
#define NDPOOL_COMPLEX64 NDPOOL_DTYPE('c', 1, 8)
#define NDPOOL_COMPLEX128 NDPOOL_DTYPE('c', 1, 16)

/* Flags of arrays and calls. */
#define NDPOOL_FORTRAN 1u   /* first index fastest */
#define NDPOOL_ZERO 2u      /* fill with zeros */
#define NDPOOL_READ_ONLY 4u /* memory that faults on a store */
#define NDPOOL_SEALED 8u    /* immutable for everybody */
#define NDPOOL_PRIVATE 16u  /* never shared so far */
#define NDPOOL_HASHED 32u
#define NDPOOL_HASH 64u     /* ndpool_seal: store the content's xxhash */
#define NDPOOL_CONTENT 128u /* ndpool_verify: also compare sealed arrays with their hashes */
#define NDPOOL_FAST 256u    /* ndpool_alloc, ndpool_reader_read: without lock or wait, or NDPOOL_ERR_TIMEOUT */
#define NDPOOL_OVERWRITE 512u   /* ndpool_publish: replace all that the target names */
#define NDPOOL_MERGE 1024u      /* ndpool_publish: add; names that are there get the new array */
#define NDPOOL_PERSISTENT 2048u /* names stay, and keep the pool, until they are removed */
#define NDPOOL_TREE 4096u       /* ndpool_remove: with all names in the group */
#define NDPOOL_GROUP 8192u      /* a name is a group */
#define NDPOOL_IMPLICIT 16384u  /* a group was made for the names in it, and goes with the last of them */
#define NDPOOL_RING 1048576u    /* a name is a stream's or a queue's, or a block is one */

/* What to allocate. */
typedef struct ndpool_spec {
    uint64_t dtype;        /* code of the element type */
    const void *record;    /* text of a structured type, else NULL */
    uint32_t record_bytes; /* canonical text as in docs/FORMAT.md; it is stored as it is */
    uint32_t ndim;         /* at most 64 */
    const int64_t *shape;  /* elements */
    uint32_t flags;        /* NDPOOL_FORTRAN, NDPOOL_ZERO, NDPOOL_FAST */
    int64_t wait;          /* how long to wait for room; 0: not at all, negative: for ever */
} ndpool_spec;

/* A reference to an array. A value; of shape the first ndim numbers are set. There are no gaps between the elements. */
typedef struct ndpool_array {
    ndpool_handle handle;
    void *data;
    uint64_t bytes;        /* of all elements */
    uint64_t dtype;
    uint32_t ndim;
    uint32_t flags;        /* NDPOOL_FORTRAN, NDPOOL_READ_ONLY, NDPOOL_SEALED */
    uint32_t record_bytes; /* of a structured type, see ndpool_record */
    int64_t shape[NDPOOL_MAX_NDIM];
} ndpool_array;

/* Fails with NDPOOL_ERR_FULL, _TABLE_FULL, _NO_MEMORY after dead processes were swept. */
NDPOOL_API int ndpool_alloc(ndpool *p, const ndpool_spec *s, ndpool_array *out);
/* Adds a reference to a block of which the caller has one. */
NDPOOL_API int ndpool_ref(ndpool *p, ndpool_handle h);
/* Ends a reference. Never waits. A handle that this process does not hold gives NDPOOL_ERR_STALE. */
NDPOOL_API int ndpool_release(ndpool *p, ndpool_handle h);
/* Copies the text of a structured type, record_bytes of it. The caller holds the array. */
NDPOOL_API int ndpool_record(ndpool *p, ndpool_handle h, void *text, size_t size);
/* From now on others can be given the handle. The caller holds the array. */
NDPOOL_API int ndpool_share(ndpool *p, ndpool_handle h);
NDPOOL_API int ndpool_retain(ndpool *p, ndpool_handle h, uint32_t flags, ndpool_array *out);
/* Seal wants this process to be the only holder, with one reference and no transfer in flight. *data is the array's
 * memory from then on, read-only. flags: NDPOOL_HASH. */
NDPOOL_API int ndpool_seal(ndpool *p, ndpool_handle h, uint32_t flags, void **data);
NDPOOL_API int ndpool_check_hash(ndpool *p, ndpool_handle h);
NDPOOL_API bool ndpool_is_sealed(ndpool *p, ndpool_handle h); /* the caller holds the array */
NDPOOL_API bool ndpool_is_private(ndpool *p, ndpool_handle h);

/* ---- transfers */

NDPOOL_API ndpool_process ndpool_self(const ndpool *p);
NDPOOL_API bool ndpool_alive(ndpool *p, ndpool_process id);
/* Opens a transfer, to be adopted once: by anybody, or by one process. The caller holds the array. */
NDPOOL_API int ndpool_send(ndpool *p, ndpool_handle h, ndpool_process to, ndpool_transfer *out);
NDPOOL_API int ndpool_adopt(ndpool *p, ndpool_transfer t, uint32_t flags, ndpool_array *out);
NDPOOL_API int ndpool_recall(ndpool *p, ndpool_transfer t);
NDPOOL_API int ndpool_recall_older(ndpool *p, int64_t age, int *count);
/* Ends the transfers that sender has directed at this process. */
NDPOOL_API int ndpool_refuse(ndpool *p, ndpool_process sender, int *count);

/* A part of a block: what an array is that was sliced. */
typedef struct ndpool_view {
    uint64_t offset; /* of the first element, from the block's first byte */
    uint64_t dtype;
    const void *record; /* text of a structured type: the caller's to pack, within the packed bytes when unpacked */
    uint32_t record_bytes;
    uint32_t ndim;
    int64_t shape[NDPOOL_MAX_NDIM];
    int64_t strides[NDPOOL_MAX_NDIM]; /* bytes */
} ndpool_view;

/* What processes send each other when the segment must be told. */
typedef struct ndpool_message {
    uint8_t segment[16];
    ndpool_handle handle;
    ndpool_ticket_t ticket; /* 0: none, the handle is bare */
    const ndpool_view *view; /* NULL: the whole array */
} ndpool_message;

#define NDPOOL_SHORT_MESSAGE 40 /* bytes of a message without a view */
#define NDPOOL_MAX_MESSAGE (NDPOOL_SHORT_MESSAGE + 24 + 16 * NDPOOL_MAX_NDIM + 65536)

/* Writes the message and says how long it is. NDPOOL_ERR_MESSAGE if it cannot be encoded or size is too small. */
NDPOOL_API int ndpool_message_pack(const ndpool_message *m, void *to, size_t size, size_t *n);
/* Reads one message and nothing else; view gets the view, and m->view leads to it, if there is one. */
NDPOOL_API int ndpool_message_unpack(const void *from, size_t n, ndpool_message *m, ndpool_view *view);
/* Adopts the message's transfer, or retains its bare handle. *out is the whole array, within which the view lies for
 * certain; a view that does not fit is refused before the transfer is spent. */
NDPOOL_API int ndpool_receive(ndpool *p, const ndpool_message *m, uint32_t flags, ndpool_array *out);

/* ---- names
 *
 * The catalog of a pool is a tree of names, by which processes find arrays that know nothing of each other. A path is 1
 * to 64 components with '/' between them, as "camera/left"; a component is 1 to 255 bytes of UTF-8, and neither "." nor
 * "..". A name is an array's or a group; only groups have names in them. Groups above a name are made as they are
 * needed, and go with the last name in them. A name keeps its array and its attributes alive.
 *
 * A name goes with the process that published it, or, with NDPOOL_PERSISTENT, stays until it is removed. Every change
 * of the catalog has a number, which grows; it is the version of all names that the change has given a value. */

/* One name to publish. */
typedef struct ndpool_item {
    const char *path;       /* below the prefix; NULL or "": the prefix itself */
    ndpool_handle array;    /* the caller holds it; 0: a group */
    const void *attributes; /* text of a JSON object, at most 1 MiB; stored as it is; NULL: none */
    size_t attributes_bytes;
} ndpool_item;

/* Gives names to arrays: all or nothing, also if this process is killed inside. The target is the prefix or, if that is
 * NULL or "", the first component of each item's path. Without NDPOOL_OVERWRITE and NDPOOL_MERGE the target must not
 * exist: NDPOOL_ERR_NAME_TAKEN. Flags: those and NDPOOL_PERSISTENT. expect: the version that the prefix has now, else
 * NDPOOL_ERR_VERSION; 0: any. version may be NULL. */
NDPOOL_API int ndpool_publish(ndpool *p, const char *prefix, const ndpool_item *items, size_t n, uint32_t flags,
                              uint64_t expect, uint64_t *version);
/* Gives a name other attributes, or none (NULL), and leaves all else as it is. But an implicit group becomes one that
 * does not go with its last name: it is this process's, or persistent with NDPOOL_PERSISTENT. */
NDPOOL_API int ndpool_set_attributes(ndpool *p, const char *path, const void *text, size_t bytes, uint32_t flags,
                                     uint64_t expect, uint64_t *version);
/* Removes an array's name or an empty group; with NDPOOL_TREE a group and all in it, at once. expect as above. count,
 * which may be NULL, is the number of names that were removed, without implicit groups. NULL or "" with NDPOOL_TREE is
 * the whole catalog. */
NDPOOL_API int ndpool_remove(ndpool *p, const char *path, uint32_t flags, uint64_t expect, uint64_t *count);
/* Gives the array of a name, with a reference. NDPOOL_ERR_GROUP: it is a group. flags: NDPOOL_READ_ONLY. version may be
 * NULL. */
NDPOOL_API int ndpool_lookup(ndpool *p, const char *path, uint32_t flags, ndpool_array *out, uint64_t *version);

/* A name that was found. Pointers lead into the list that it is in. */
typedef struct ndpool_name_info {
    const char *path;       /* from the root */
    uint64_t version;
    ndpool_process owner;   /* that it goes with; 0: it is persistent, or implicit */
    ndpool_handle array;    /* 0: a group */
    uint64_t dtype;         /* this and what follows: of the array, as in ndpool_array */
    uint64_t bytes;
    uint32_t ndim;
    uint32_t flags;         /* GROUP, PERSISTENT, IMPLICIT, RING; FORTRAN, SEALED */
    uint32_t record_bytes;
    const int64_t *shape;
    const char *attributes; /* with a NUL behind; NULL: none */
    size_t attributes_bytes;
} ndpool_name_info;

/* Names of one moment. It has a reference to each array that it names: ndpool_retain gives the caller one of his own. */
typedef struct ndpool_names {
    size_t n;
    const ndpool_name_info *names; /* sorted by path */
} ndpool_names;

/* Gives a group, or an array's name, and all that is below it. NULL or "": the whole catalog. Released by
 * ndpool_names_free. Of a snapshot (ndpool_peek) it has no references. */
NDPOOL_API int ndpool_list(ndpool *p, const char *prefix, ndpool_names **out);
/* The same for the name alone. */
NDPOOL_API int ndpool_find(ndpool *p, const char *path, ndpool_names **out);
NDPOOL_API void ndpool_names_free(ndpool *p, ndpool_names *names); /* NULL is allowed */

/* ---- locks of names
 *
 * Each name has a lock, for the data: one writer, or any number of readers. A writer that waits keeps new readers out, so
 * who has the lock as a reader must not take it again. It is a process's: any thread may let go, and threads exclude
 * each other as processes do. A forked child has none of its parent's locks. Who ends the attachment with the lock counts
 * as dead: unlock before ndpool_close. The lock goes with the name: when that is removed all functions give
 * NDPOOL_ERR_NO_NAME. A replaced array keeps the lock of its name. */

/* Names a lock. A value; it need not be given back. */
typedef struct ndpool_name_lock {
    uint32_t entry;
    uint32_t nonce;
} ndpool_name_lock;

NDPOOL_API int ndpool_lock_find(ndpool *p, const char *path, ndpool_name_lock *out);
/* Takes the lock as the writer or, with NDPOOL_READ_ONLY, as a reader. wait: how long; 0: not at all, negative: for ever;
 * NDPOOL_ERR_TIMEOUT says in pid and slot who has it. *torn: a writer died with the lock, so that the data may be
 * half-changed; it stays until a writer has let go who was told. Released by ndpool_unlock with the same flags. */
NDPOOL_API int ndpool_lock(ndpool *p, ndpool_name_lock l, uint32_t flags, int64_t wait, bool *torn);
/* The same for callers that must see to something meanwhile, as signals: go_on is asked some 20 times a second while it
 * waits, and ends the wait by false, as if the time were up. */
NDPOOL_API int ndpool_lock_while(ndpool *p, ndpool_name_lock l, uint32_t flags, int64_t wait, bool (*go_on)(void *),
                                 void *arg, bool *torn);
/* NDPOOL_ERR_NOT_LOCKED if this process does not have it. If the name is gone meanwhile there is nothing to do. */
NDPOOL_API int ndpool_unlock(ndpool *p, ndpool_name_lock l, uint32_t flags);

/* ---- streams
 *
 * A stream is a ring of frames: one process writes, any number read, each for itself, and wait without polling. A frame
 * is an array that is sealed when it is published. A stream keeps its newest frames, and a reader holds what it took
 * for as long as it likes. It has a name of the catalog, and stays when its writer ends or dies: the next one goes on
 * where that stopped.
 *
 * A writer and a reader are used by one thread at a time; any thread may close them when no other is inside. Both keep
 * the attachment: close them before ndpool_close has an effect. In a forked child they are refused, but for
 * ndpool_reader_close and ndpool_writer_close. wait is as for ndpool_lock, and go_on, which may be NULL, as for
 * ndpool_lock_while; NDPOOL_ERR_TIMEOUT. */

typedef bool (*ndpool_go_on)(void *arg);

/* How a ring is made. Zero numbers are the defaults. A ring that is there is taken as it is if all is zero, and refused
 * with NDPOOL_ERR_OPTIONS if it is another than asked for. */
typedef struct ndpool_ring_options {
    uint32_t entries;  /* frames that a stream keeps: 2; entries of a queue: 16384. At most 65536 */
    uint32_t readers;  /* of a lossless stream that the writer waits for: 64. At most 1024 */
    uint32_t flags;    /* NDPOOL_LOSSLESS, NDPOOL_PERSISTENT (the name keeps the pool) */
} ndpool_ring_options;

typedef struct ndpool_writer ndpool_writer;
typedef struct ndpool_reader ndpool_reader;

/* Becomes the writer of a stream, which is made if it is not there; o may be NULL. NDPOOL_ERR_WRITER: there is one that
 * lives. */
NDPOOL_API int ndpool_writer_open(ndpool *p, const char *path, const ndpool_ring_options *o, ndpool_writer **out);
/* Seals the array and publishes it; the caller keeps his reference, and must not write any more. NDPOOL_ERR_HELD: it is
 * not sealed, and others hold it. attributes: text of a JSON object, or NULL. In a lossless stream it waits until all
 * readers have read the oldest frame; if that takes too long the array stays sealed, and can be published again.
 * *sequence counts from 1 and never comes back; it may be NULL. */
NDPOOL_API int ndpool_writer_publish(ndpool_writer *w, ndpool_handle array, const void *attributes, size_t bytes, int64_t wait,
                                     ndpool_go_on go_on, void *arg, uint64_t *sequence);
/* Waits until n readers are there that the writer of a lossless stream waits for: frames that are published before go
 * by those who come later. NDPOOL_ERR_OPTIONS: there can never be so many. */
NDPOOL_API int ndpool_writer_await_readers(ndpool_writer *w, uint32_t n, int64_t wait, ndpool_go_on go_on, void *arg);
NDPOOL_API void ndpool_writer_close(ndpool_writer *w); /* tells the readers. NULL is allowed */

#define NDPOOL_EVERY 32768u     /* ndpool_reader_open: the writer of a lossless stream waits for this reader */
#define NDPOOL_FROM_NOW 65536u  /* ndpool_reader_open: only frames that are published from now on */
#define NDPOOL_LOSSLESS 131072u /* the writer waits for readers that were opened with NDPOOL_EVERY */
#define NDPOOL_NEXT 262144u     /* ndpool_reader_read: the oldest frame that was not read yet; default: the newest */
#define NDPOOL_AGAIN 524288u    /* ndpool_reader_read: the newest frame at once, read or not; NDPOOL_ERR_TIMEOUT: there is none */

/* A frame. References: the array's, and one to the block of the attributes, which the caller ends each by
 * ndpool_release. */
typedef struct ndpool_frame {
    ndpool_array array;       /* read-only */
    uint64_t sequence;        /* from 1; goes on with the next writer */
    uint64_t skipped;         /* frames that this reader has missed since its last one */
    int64_t monotonic, wall;  /* when it was published: CLOCK_MONOTONIC, and since 1970 */
    ndpool_handle attributes; /* 0: none */
    const char *text;         /* of the attributes, without a NUL; NULL: none */
    size_t text_bytes;
} ndpool_frame;

/* Opens a reader. The stream need not be there yet. flags: NDPOOL_EVERY, NDPOOL_FROM_NOW. */
NDPOOL_API int ndpool_reader_open(ndpool *p, const char *path, uint32_t flags, ndpool_reader **out);
/* Waits for a frame that this reader has not read. flags: NDPOOL_NEXT or NDPOOL_AGAIN, NDPOOL_FAST. When there is none
 * and the writer has come to an end it is told once: NDPOOL_ERR_ENDED, NDPOOL_ERR_WRITER_DIED; the next call waits for
 * the next writer. */
NDPOOL_API int ndpool_reader_read(ndpool_reader *r, uint32_t flags, int64_t wait, ndpool_go_on go_on, void *arg,
                                  ndpool_frame *out);
NDPOOL_API void ndpool_reader_close(ndpool_reader *r); /* NULL is allowed */

/* ---- queues
 *
 * A queue is a bounded ring of items: any process puts, and each item goes to one that gets it, first in, first out.
 * What was put is there until a get returns it, whoever dies: the queue holds the arrays. An item is an array, or
 * bytes, with any number of arrays that belong to it; it takes an entry for each. A queue without a name lives as long
 * as somebody holds it.
 *
 * Any number of threads may use a queue; close it when no other thread is inside. A forked child has its parent's
 * queues. */

typedef struct ndpool_queue ndpool_queue;

/* Opens a queue, which is made if it is not there. path NULL makes one without a name. */
NDPOOL_API int ndpool_queue_open(ndpool *p, const char *path, const ndpool_ring_options *o, ndpool_queue **out);
/* The handle of its block, for others who ndpool_queue_retain it, and for ndpool_send. */
NDPOOL_API ndpool_handle ndpool_queue_handle(const ndpool_queue *q);
NDPOOL_API int ndpool_queue_retain(ndpool *p, ndpool_handle h, ndpool_queue **out);
/* Opens a queue that was sent by ndpool_send of its handle. */
NDPOOL_API int ndpool_queue_adopt(ndpool *p, ndpool_transfer t, ndpool_queue **out);
NDPOOL_API void ndpool_queue_close(ndpool_queue *q); /* NULL is allowed */

#define NDPOOL_ITEM_ARRAY 1u  /* what an item's first array is: an array */
#define NDPOOL_ITEM_BYTES 2u  /* bytes, which are a message */
#define NDPOOL_ITEM_PICKLE 3u /* bytes, which are a Python pickle */

typedef struct ndpool_put {
    ndpool_handle array; /* the caller holds it, and keeps his reference */
    uint32_t kind;       /* NDPOOL_ITEM_*; 0: it belongs to the item before */
} ndpool_put;

/* Puts n entries, each item whole; waits for room. *done is how many entries were put, also on failure; it may be NULL.
 * NDPOOL_ERR_SHUT. */
NDPOOL_API int ndpool_queue_put(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait, ndpool_go_on go_on, void *arg,
                                size_t *done);

typedef struct ndpool_got {
    ndpool_array array; /* a reference */
    uint32_t kind;      /* NDPOOL_ITEM_*; 0: it belongs to the item before */
    uint32_t more;      /* how many behind it belong to it */
} ndpool_got;

/* Gets as many items as there are, whole: at most that many items (0: any number), at most size entries, and at least
 * one item, for which it waits. NDPOOL_ERR_TOO_LONG: the first item has more entries than size, and is still there:
 * asked. NDPOOL_ERR_SHUT: the queue was shut down and is empty. */
NDPOOL_API int ndpool_queue_get(ndpool_queue *q, size_t items, ndpool_got *out, size_t size, int64_t wait,
                                ndpool_go_on go_on, void *arg, size_t *n);
/* Puts an item back that the caller has got and holds, before all others. It waits for room, also when the queue was
 * shut down. */
NDPOOL_API int ndpool_queue_put_back(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait,
                                     ndpool_go_on go_on, void *arg);
/* From now on nothing is put into the queue, by anybody; what is in it can be got. */
NDPOOL_API int ndpool_queue_shut(ndpool_queue *q);

typedef struct ndpool_queue_info {
    uint64_t items, entries; /* in it */
    uint64_t limit;          /* entries */
    bool shut;
} ndpool_queue_info;
NDPOOL_API int ndpool_queue_look(ndpool_queue *q, ndpool_queue_info *out);

/* ---- streams and queues of a pool */

typedef struct ndpool_ring_info {
    ndpool_handle handle;
    uint32_t kind;            /* 1: a stream, 2: a queue */
    uint32_t flags;           /* NDPOOL_LOSSLESS */
    uint32_t entries;         /* limit */
    uint32_t readers;         /* limit */
    uint64_t head, tail;      /* entries that were ever put, and that went again */
    uint64_t items;           /* in it */
    uint64_t bytes;           /* of the arrays in it */
    ndpool_process writer;    /* 0: none */
    uint32_t ended;           /* writers that have come to an end */
    bool died, shut;          /* the last writer died; the queue was shut down */
    uint32_t entered;         /* readers that the writer waits for */
    uint64_t behind;          /* frames that the slowest of them has not read */
    int64_t newest;           /* when the newest entry was put, since 1970; 0: there is none */
    uint64_t holders[4];      /* bit s: slot s */
} ndpool_ring_info;

/* As ndpool_next_array. */
NDPOOL_API bool ndpool_next_ring(ndpool *p, uint32_t *cursor, ndpool_ring_info *out);

/* ---- looking inside */

typedef struct ndpool_stats_ {
    uint64_t capacity, committed, live, held, cached, free, largest_free, tables;
    uint64_t arrays, array_limit, retired, processes, process_limit, transfers, transfer_limit;
    uint64_t names, name_limit; /* with groups */
    uint64_t takeovers, sweeps, expired, stolen, lost, trimmed;
} ndpool_stats_t;
NDPOOL_API int ndpool_stats(ndpool *p, ndpool_stats_t *out);

typedef struct ndpool_array_info {
    ndpool_handle handle;
    uint64_t dtype;
    uint64_t bytes, extent, offset; /* users'; taken; of the users' bytes in the data region */
    uint32_t ndim, flags;           /* FORTRAN, SEALED, HASHED, PRIVATE, RING */
    uint32_t in_transit;            /* transfers, and entries of streams and queues */
    uint32_t record_bytes;
    bool named;
    uint64_t holders[4];            /* bit s: slot s */
    int64_t shape[NDPOOL_MAX_NDIM];
} ndpool_array_info;

typedef struct ndpool_process_info {
    ndpool_process id;
    int32_t slot, pid, uid;
    char command[17];
    uint64_t pid_namespace;
    int64_t attached; /* how long ago */
    bool alive, self;
    uint64_t arrays, bytes, cached;
} ndpool_process_info;

typedef struct ndpool_transfer_info {
    ndpool_transfer transfer;
    ndpool_process sender, receiver; /* receiver 0: anybody */
    int64_t age, expires;            /* from now; 0 while the sender lives */
} ndpool_transfer_info;

/* Each finds the next entry from *cursor on, which starts at 0, and moves the cursor behind it; false at the end. */
NDPOOL_API bool ndpool_next_array(ndpool *p, uint32_t *cursor, ndpool_array_info *out);
NDPOOL_API bool ndpool_next_transfer(ndpool *p, uint32_t *cursor, ndpool_transfer_info *out);
/* Copies the text of the structured type of an array that was found, record_bytes of it. NDPOOL_ERR_STALE if the block
 * was freed meanwhile. The caller need not hold the array, nor be attached. */
NDPOOL_API int ndpool_info_record(ndpool *p, const ndpool_array_info *info, void *text);
/* All processes at once: at most size of them, returns how many. */
NDPOOL_API size_t ndpool_processes(ndpool *p, ndpool_process_info *out, size_t size);

typedef enum ndpool_condition_t { NDPOOL_COND_LIVE, NDPOOL_COND_IDLE, NDPOOL_COND_LEFT_BEHIND } ndpool_condition_t;
NDPOOL_API int ndpool_condition(ndpool *p, ndpool_condition_t *out);

typedef struct ndpool_fault {
    const char *law;   /* as "transit" */
    const char *place; /* as "descriptor 17" */
    const char *want;
    const char *got;
} ndpool_fault;

typedef struct ndpool_report {
    bool indexes; /* the derived indexes were compared: nobody died inside the lock */
    bool quiet;   /* no other process was attached, so that all laws could be asked for */
    uint64_t arrays, faults;
    int64_t took;
} ndpool_report;

/* Checks every word of the segment against the laws of the format while it goes on; tell is called for each fault, and
 * the strings are its for the call only. */
NDPOOL_API int ndpool_verify(ndpool *p, uint32_t flags, void (*tell)(void *, const ndpool_fault *), void *arg,
                             ndpool_report *out);

typedef struct ndpool_reaped {
    int processes; /* dead processes swept */
    int expired;   /* transfers that nobody adopted in time */
    bool removed;  /* the pool, since nobody was left to keep it; by ndpool_reap_name only */
} ndpool_reaped;
NDPOOL_API int ndpool_reap(ndpool *p, ndpool_reaped *out);
NDPOOL_API int ndpool_reap_name(const char *name, const ndpool_options *o, ndpool_reaped *out);
NDPOOL_API int ndpool_trim(ndpool *p, uint64_t *freed);

#ifdef __cplusplus
}
#endif

#endif
