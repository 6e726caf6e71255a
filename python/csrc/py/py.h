/*
 * The extension module ndpool._core. Python's objects over ndpool.h, and nothing else: no rule of the segment is known
 * here.
 *
 * Two kinds of objects hold something of the core. A Pool holds an attachment; a Block holds its Pool and one reference
 * to a block, and is the .base of the arrays that lie in it. A NameLock holds its Pool, and says where a lock is. A Writer,
 * Reader or Queue holds its Pool and one end of a ring. numpy is used through Python alone, so one build serves all its
 * versions; but for free-threaded Pythons the limited API of 3.11 is enough.
 *
 * All state is the module's (core_state) or an object's, and guarded by the GIL, or by the dicts' own locks where there
 * is none. The one thing that belongs to the process is the list of attachments in live.c, for its very end. The GIL is
 * released around whatever can wait, and no Python code runs inside the core.
 */
#ifndef NDPOOL_PY_H
#define NDPOOL_PY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

#include "ndpool.h"

/* numpy's array interface, C side, as its documentation has it. */
typedef struct array_interface {
    int two;
    int nd;
    char typekind;
    int itemsize;
    int flags;
    intptr_t *shape;
    intptr_t *strides;
    void *data;
    PyObject *descr;
} array_interface;

_Static_assert(sizeof(intptr_t) == 8 && sizeof(Py_ssize_t) == 8, "numpy's dimensions are 64-bit numbers");

/* Names that are looked up often: attributes, keywords. */
enum { S_BASE, S_OBJ, S_DTYPE, S_SHAPE, S_METADATA, S_ARRAY_STRUCT, S_ORDER, S_ZERO, S_TIMEOUT, S_C, S_F, S_END };

/* The module's state. Every PyObject is a strong reference, NULL once the module was cleared. */
typedef struct core_state {
    PyTypeObject *pool_type, *block_type, *element_type, *lock_type;
    PyTypeObject *writer_type, *reader_type, *queue_type;
    PyTypeObject *ndarray, *dtype;
    newfunc ndarray_new; /* numpy.ndarray.__new__ */
    PyObject *np_empty;
    PyObject *error_hook, *attach_hook, *encode_hook, *decode_hook; /* NULL until set_hooks */

    PyObject *elements;          /* dict: what a user calls a dtype -> element */
    PyObject *decoded;           /* dict: code, or (code, record) -> element */
    PyObject *pools;             /* dict: segment -> weak reference to the Pool that rebuild uses */
    PyObject *rebuild;           /* the function that reduce names */
    PyObject *nought, *no_shape; /* 0 and (0,) */
    PyObject *names[S_END];
} core_state;

/* An element type in both forms. Immutable. */
typedef struct element {
    PyObject_HEAD
    PyObject *key;    /* what it was asked by, or NULL */
    PyObject *dtype;  /* numpy's */
    PyObject *suffix; /* tuple: dimensions that a sub-array type adds to a shape, or NULL */
    PyObject *record; /* bytes: text of a structured type, or NULL */
    uint64_t code;
    bool metadata; /* of numpy's, which no other process would see */
} element;

typedef struct live live;

typedef struct pool_object {
    PyObject_HEAD
    ndpool *p;
    core_state *st; /* lives as long as the type, which the object holds */
    live *node;     /* NULL for a snapshot */
    PyObject *path, *segment;
    PyObject *lockers;              /* dict: name -> set of threads that have its lock; see lock.c */
    ndpool_process lockers_process; /* whose threads they are */
    PyObject *weaklist;
} pool_object;

enum { BLOCK_DIMS = 8 }; /* dimensions that a Block keeps without more memory */

typedef struct block {
    PyObject_HEAD
    pool_object *pool;
    ndpool_handle handle; /* 0: no reference */
    void *data;
    uint64_t bytes;
    element *elem;  /* the stored array's; NULL only while the Block is made */
    int64_t *shape; /* leads to dims, or to memory of its own */
    int64_t dims[BLOCK_DIMS];
    uint32_t ndim;
    bool fortran, readonly;
    PyObject *weaklist;
} block;

/* Where an array lies. Released by place_end. */
typedef struct place {
    block *b;          /* NULL: in private memory */
    PyObject *capsule; /* of the array interface, if the object is an array */
    const array_interface *a;
} place;

/* One end of a ring: a Writer, Reader or Queue. See ring.c. */
typedef struct ring_end {
    PyObject_HEAD
    pool_object *pool;
    void *core;              /* an ndpool_writer, _reader or _queue; NULL: it was ended */
    void (*finish)(void *);  /* ends it, called by who makes inside 0 */
    ndpool_process process;  /* that opened it */
    PyThread_type_lock turn; /* held by the thread inside; NULL: there may be many */
    atomic_int inside;       /* 1 until it is closed, and 1 for each thread inside */
    atomic_bool closed;
} ring_end;

/* A wait without the GIL, in which signals are seen to, and closing. */
typedef struct ring_wait {
    ring_end *end;
    PyThreadState *thread;
    bool failed; /* an exception is set */
} ring_wait;

/* For our own objects, of whatever type; NULL is nothing. */
static inline void ref(void *o) { Py_XINCREF((PyObject *)o); }
static inline void unref(void *o) { Py_XDECREF((PyObject *)o); }

/* For waits that end in time, in nanoseconds. */
static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- module.c */
extern struct PyModuleDef core_module;
core_state *state_of_module(PyObject *module);
core_state *state_of_type(PyTypeObject *type); /* of Pool or a class made from it; NULL with an exception */
PyObject *lookup(PyObject *dict,
                 PyObject *key); /* a strong reference, or NULL, with an exception if the lookup failed */

/* ---- errors.c: each sets an exception and returns NULL */
PyObject *raise_last(core_state *st);
PyObject *raise_as(core_state *st, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- element.c */
extern PyType_Spec element_spec;
element *element_of(core_state *st, PyObject *given);
element *element_decode(core_state *st, uint64_t code, const void *record, size_t record_bytes);
bool element_same(const element *a, const element *b);
const char *element_record(const element *e, uint32_t *bytes);

/* ---- block.c */
extern PyType_Spec block_spec;
/* Takes over the reference that *a is, also if it fails. elem is NULL if it has to be found out. */
block *block_new(pool_object *po, const ndpool_array *a, element *elem);

/* ---- array.c */
PyObject *shape_tuple(const int64_t *shape, uint32_t ndim);
PyObject *array_make(core_state *st, block *b, PyObject *shape, PyObject *dtype, bool fortran);
PyObject *array_new(core_state *st, block *b); /* the array that the block stores */
PyObject *array_view(core_state *st, block *b, const ndpool_view *v);
int place_find(core_state *st, PyObject *x, place *at); /* 0, or -1 with an exception; released by place_end */
int place_need(core_state *st, PyObject *x, place *at); /* the same, and private memory is refused */
void place_end(place *at);
bool place_whole(const place *at, const element *elem); /* the array is what the block stores */
bool place_covers(const place *at, bool *fortran);      /* the array has all bytes of the block, in order */
void place_view(const place *at, const element *elem, ndpool_view *v);

/* ---- empty.c: a method of Pool */
PyObject *pool_empty(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames);
/* timeout: negative for ever. 0, or -1 with an exception. */
int allocate(pool_object *po, ndpool_spec *spec, int64_t timeout, ndpool_array *a);

/* ---- live.c: the attachments of this process */
int live_setup(void);
live *live_add(ndpool *p, core_state *st); /* released by live_remove; NULL if there is no memory */
void live_remove(live *l);
void live_exit(core_state *st);

/* ---- pool.c */
extern PyType_Spec pool_spec;
int seconds_to_ns(double s, int64_t *ns); /* 0, or -1 with an exception */
int options_from(ndpool_options *o, PyObject *dir, PyObject **dir_bytes);
PyObject *pool_of_segment(core_state *st,
                          PyObject *segment); /* strong, or NULL, with an exception if something failed */

/* ---- inspect.c: methods of Pool */
PyObject *pool_stats_dict(PyObject *self, PyObject *unused);
PyObject *pool_arrays(PyObject *self, PyObject *unused);
PyObject *pool_rings(PyObject *self, PyObject *unused);
PyObject *pool_processes(PyObject *self, PyObject *unused);
PyObject *pool_transfers(PyObject *self, PyObject *unused);
PyObject *pool_condition(PyObject *self, PyObject *unused);
PyObject *pool_verify(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *reaped_dict(const ndpool_reaped *r);

element *info_element(core_state *st, ndpool *p, const ndpool_array_info *i);

/* ---- names.c: methods of Pool, and a function of the module */
const char *path_text(core_state *st, PyObject *given); /* lives as long as given; NULL with an exception */
PyObject *pool_lookup(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *pool_lookup_item(PyObject *self, PyObject *args);
PyObject *pool_lookup_tree(PyObject *self, PyObject *args);
PyObject *pool_name_attributes(PyObject *self, PyObject *name);
PyObject *pool_has(PyObject *self, PyObject *name);
PyObject *pool_paths(PyObject *self, PyObject *prefix);
PyObject *pool_names_list(PyObject *self, PyObject *prefix);
PyObject *pool_publish(PyObject *self, PyObject *args);
PyObject *pool_set_attributes(PyObject *self, PyObject *args);
PyObject *pool_remove(PyObject *self, PyObject *args);
PyObject *is_whole(PyObject *module, PyObject *x);
int whole_find(core_state *st, PyObject *x, place *at); /* 1, 0, or -1 with an exception; if 1 released by place_end */

/* ---- lock.c: a type, and a method of Pool */
extern PyType_Spec lock_spec;
PyObject *pool_lock_name(PyObject *self, PyObject *name);

/* ---- ring.c: what the ends of streams and queues have in common */
int timeout_ns(PyObject *given, int64_t *wait); /* None: for ever, negative; 0, or -1 with an exception */
/* Takes over core, which is ended by finish, also if it fails. turns: one thread at a time. */
ring_end *end_new(pool_object *po, PyTypeObject *type, void *core, void (*finish)(void *), bool turns);
/* 0, 1 if the time is up, or -1 with an exception. wait gets what is left of it. Released by end_leave. */
int end_enter(ring_end *e, const char *verb, int64_t *wait);
void end_leave(ring_end *e);
void end_close(ring_end *e);
void end_dealloc(PyObject *self);
PyObject *end_closed(PyObject *self, void *unused);
PyObject *end_pool(PyObject *self, void *unused);
void wait_begin(ring_wait *w, ring_end *e);                    /* releases the GIL; released by wait_end */
int wait_end(ring_wait *w, int status, const char *verb); /* 0, or -1 with what the status, or a signal, raises */
bool wait_go_on(void *w);

/* ---- stream.c: two types, and methods of Pool */
extern PyType_Spec writer_spec, reader_spec;
PyObject *pool_writer(PyObject *self, PyObject *args);
PyObject *pool_reader(PyObject *self, PyObject *args);

/* ---- queue.c: a type, and methods of Pool */
extern PyType_Spec queue_spec;
PyObject *pool_queue(PyObject *self, PyObject *args);
PyObject *pool_adopt_queue(PyObject *self, PyObject *transfer);

/* ---- pickle.c: functions of the module, and how Pool receives */
PyObject *send_array(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *message_array(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *reduce_array(PyObject *module, PyObject *x);
PyObject *rebuild_array(PyObject *module, PyObject *args);
PyObject *pool_adopt_array(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *transfer_bytes(ndpool_transfer t);
int transfer_parse(core_state *st, const Py_buffer *from, ndpool_transfer *t);

#endif
