/* Pool: one attachment. Which functions may be called on a closed or peeked pool is the core's business. */
#include <stdlib.h>

#include "py.h"

static ndpool *core_of(PyObject *self) { return ((pool_object *)self)->p; }
static core_state *state_of(PyObject *self) { return ((pool_object *)self)->st; }

int seconds_to_ns(double s, int64_t *ns)
{
    if (!(s >= 0)) {
        PyErr_SetString(PyExc_ValueError, "times must be seconds, not negative");
        return -1;
    }
    *ns = s < 9e9 ? (int64_t)(s * 1e9 + 0.5) : INT64_MAX;
    return 0;
}

/* ---- which pool is whose */

/* Forgets the pool as the one of its segment. No exception is set or lost. */
static void unregister(pool_object *po)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *pools = po->st->pools, *weak = pools ? lookup(pools, po->segment) : NULL;
    if (weak) {
        PyObject *pool = PyObject_CallFunctionObjArgs(weak, NULL);
        if (pool == (PyObject *)po || pool == Py_None)
            PyDict_DelItem(pools, po->segment);
        Py_XDECREF(pool);
        Py_DECREF(weak);
    }
    PyErr_Clear();
    PyErr_Restore(type, value, trace);
}

PyObject *pool_of_segment(core_state *st, PyObject *segment)
{
    PyObject *weak = st->pools ? lookup(st->pools, segment) : NULL;
    PyObject *pool = weak ? PyObject_CallFunctionObjArgs(weak, NULL) : NULL;
    Py_XDECREF(weak);
    if (pool && (pool == Py_None || ndpool_closed(core_of(pool))))
        Py_CLEAR(pool);
    return pool;
}

/* Makes the pool the one that rebuild uses, unless the process has the segment open already. */
static int register_pool(pool_object *po)
{
    if (!po->st->pools)
        return 0;
    PyObject *other = pool_of_segment(po->st, po->segment);
    if (other || PyErr_Occurred()) {
        Py_XDECREF(other);
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *weak = PyWeakref_NewRef((PyObject *)po, NULL);
    int err = weak ? PyDict_SetItem(po->st->pools, po->segment, weak) : -1;
    Py_XDECREF(weak);
    return err;
}

/* ---- options */

int options_from(ndpool_options *o, PyObject *dir, PyObject **dir_bytes)
{
    *dir_bytes = NULL;
    if (!dir || dir == Py_None)
        return 0;
    if (!PyUnicode_FSConverter(dir, dir_bytes))
        return -1;
    o->dir = PyBytes_AsString(*dir_bytes);
    return 0;
}

/* Copies user or group numbers; released by free. */
static int ids_from(PyObject *given, const uint32_t **ids, size_t *n)
{
    PyObject *t = given ? PySequence_Tuple(given) : PyTuple_New(0);
    if (!t)
        return -1;
    *n = (size_t)PyTuple_Size(t);
    uint32_t *copy = malloc((*n + 1) * sizeof *copy);
    if (!copy)
        PyErr_NoMemory();
    for (size_t k = 0; copy && k < *n && !PyErr_Occurred(); k++) {
        unsigned long id = PyLong_AsUnsignedLong(PyTuple_GetItem(t, (Py_ssize_t)k));
        if (id > UINT32_MAX && !PyErr_Occurred())
            PyErr_SetString(PyExc_OverflowError, "user and group numbers have 32 bits");
        copy[k] = (uint32_t)id;
    }
    Py_DECREF(t);
    *ids = copy;
    return PyErr_Occurred() ? -1 : 0;
}

/* What Pool.__new__ was given. Released by request_end. */
typedef struct request {
    PyObject *name, *dir; /* bytes */
    const char *how;
    ndpool_options o;
} request;

static void request_end(request *r)
{
    free((void *)r->o.uids);
    free((void *)r->o.gids);
    Py_CLEAR(r->name);
    Py_CLEAR(r->dir);
}

/* Reads numbers and words. dir, uids and gids are borrowed. */
static int request_parse(request *r, PyObject *args, PyObject *kwargs, PyObject *borrowed[3])
{
    static char *names[] = {"",     "",          "capacity",  "arrays",     "processes", "tickets",    "names",
                            "mode", "grace",     "lock_wait", "persistent", "reserve",   "huge_pages", "dir",
                            "fd",   "anonymous", "prefault",  "observer",   "uids",      "gids",       NULL};
    long long capacity = 0, arrays = 0, processes = 0, tickets = 0, n_names = 0;
    unsigned int mode = 0;
    double grace = 0, lock_wait = 0;
    int flag[6] = {0}, fd = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&s|$LLLLLIddpppOipppOO:Pool", names, PyUnicode_FSConverter,
                                     &r->name, &r->how, &capacity, &arrays, &processes, &tickets, &n_names, &mode,
                                     &grace, &lock_wait, &flag[0], &flag[1], &flag[2], &borrowed[0], &fd, &flag[3],
                                     &flag[4], &flag[5], &borrowed[1], &borrowed[2]))
        return -1;
    if (capacity < 0 || fd == 0) {
        PyErr_SetString(PyExc_ValueError, fd == 0 ? "fd must not be 0" : "capacity must not be negative");
        return -1;
    }
    r->o = (ndpool_options){.capacity = (uint64_t)capacity,
                            .arrays = arrays,
                            .processes = processes,
                            .tickets = tickets,
                            .names = n_names,
                            .mode = mode,
                            .persistent = flag[0],
                            .reserve = flag[1],
                            .huge_pages = flag[2],
                            .fd = fd > 0 ? fd : 0,
                            .anonymous = flag[3],
                            .prefault = flag[4],
                            .observer = flag[5]};
    return seconds_to_ns(grace, &r->o.grace) < 0 || seconds_to_ns(lock_wait, &r->o.lock_wait) < 0 ? -1 : 0;
}

/* Released by request_end, also if it fails. */
static int request_begin(request *r, PyObject *args, PyObject *kwargs)
{
    PyObject *borrowed[3] = {NULL}; /* dir, uids, gids */
    *r = (request){0};
    if (request_parse(r, args, kwargs, borrowed) < 0 || options_from(&r->o, borrowed[0], &r->dir) < 0)
        return -1;
    if (ids_from(borrowed[1], &r->o.uids, &r->o.n_uids) < 0)
        return -1;
    return ids_from(borrowed[2], &r->o.gids, &r->o.n_gids);
}

/* ---- life */

typedef int (*opener)(const char *name, const ndpool_options *o, ndpool **out);

static opener opener_of(const char *how)
{
    static const struct {
        const char *how;
        opener open;
    } all[] = {{"create", ndpool_create},
               {"open", ndpool_open},
               {"open_or_create", ndpool_open_or_create},
               {"peek", ndpool_peek}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (strcmp(how, all[k].how) == 0)
            return all[k].open;
    PyErr_Format(PyExc_ValueError, "how must be create, open, open_or_create or peek (got '%s')", how);
    return NULL;
}

/* All that a Pool has. Released by parts_end, unless a Pool took it over. */
typedef struct parts {
    ndpool *p;
    live *node; /* NULL for a snapshot, which is no attachment */
    PyObject *path, *segment, *lockers;
} parts;

static void parts_end(parts *a)
{
    if (a->node)
        live_remove(a->node);
    if (a->p) {
        Py_BEGIN_ALLOW_THREADS
        ndpool_close(a->p);
        ndpool_free(a->p);
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(a->path);
    Py_XDECREF(a->segment);
    Py_XDECREF(a->lockers);
}

/* Released by parts_end, also if it fails. */
static int parts_begin(parts *a, core_state *st, const request *r)
{
    opener open = opener_of(r->how);
    if (!open)
        return -1;
    const char *name = PyBytes_AsString(r->name);
    if (r->o.anonymous && !*name)
        name = "anonymous"; /* what the kernel shows */
    uint8_t id[16];
    ndpool *p;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = open(name, &r->o, &p);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK) {
        raise_last(st);
        return -1;
    }
    a->p = p;
    ndpool_segment(p, id);
    a->path = PyUnicode_DecodeFSDefault(ndpool_path(p));
    a->segment = PyBytes_FromStringAndSize((char *)id, sizeof id);
    a->lockers = PyDict_New();
    if (a->path && a->segment && a->lockers && open != ndpool_peek && !(a->node = live_add(p, st)))
        PyErr_NoMemory();
    return PyErr_Occurred() ? -1 : 0;
}

/* Makes the object when there is nothing left that can fail, so that no code of a subclass sees half of a Pool. */
static pool_object *pool_make(PyTypeObject *type, core_state *st, const request *r)
{
    parts a = {NULL};
    pool_object *po = NULL;
    if (parts_begin(&a, st, r) == 0)
        po = (pool_object *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0); /* all zero */
    if (!po) {
        parts_end(&a);
        return NULL;
    }
    po->st = st;
    po->p = a.p;
    po->node = a.node;
    po->path = a.path;
    po->segment = a.segment;
    po->lockers = a.lockers;
    return po;
}

static PyObject *pool_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    core_state *st = state_of_type(type);
    if (!st)
        return NULL;
    pool_object *po = NULL;
    request r;
    if (request_begin(&r, args, kwargs) == 0)
        po = pool_make(type, st, &r);
    request_end(&r);
    if (po && po->node && register_pool(po) < 0)
        Py_CLEAR(po);
    return (PyObject *)po;
}

/* Every Block holds its Pool, so no reference is left here but those of a module that was torn down; the core frees p
 * with the last. */
static void pool_dealloc(PyObject *self)
{
    pool_object *po = (pool_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (po->weaklist)
        PyObject_ClearWeakRefs(self);
    unregister(po);
    parts_end(&(parts){
        .p = po->p, .node = po->node, .path = po->path, .segment = po->segment, .lockers = po->lockers});
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *pool_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    unregister((pool_object *)self);
    Py_BEGIN_ALLOW_THREADS
    ndpool_close(core_of(self));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* ---- what it is */

static PyObject *pool_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(ndpool_closed(core_of(self)));
}

static PyObject *pool_path(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *path = ((pool_object *)self)->path;
    Py_INCREF(path);
    return path;
}

static PyObject *pool_segment(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *segment = ((pool_object *)self)->segment;
    Py_INCREF(segment);
    return segment;
}

static PyObject *pool_created(PyObject *self, void *unused)
{
    (void)unused;
    return PyFloat_FromDouble((double)ndpool_created(core_of(self)) / 1e9);
}

static PyObject *pool_process(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(ndpool_self(core_of(self)));
}

static PyObject *pool_options(PyObject *self, PyObject *unused)
{
    (void)unused;
    ndpool_options o;
    ndpool_get_options(core_of(self), &o);
    return Py_BuildValue("{sKsLsLsLsLsIsdsdsNsNsNsN}", "capacity", (unsigned long long)o.capacity, "arrays",
                         (long long)o.arrays, "processes", (long long)o.processes, "tickets", (long long)o.tickets,
                         "names", (long long)o.names, "mode", (unsigned int)o.mode, "grace", (double)o.grace / 1e9,
                         "lock_wait", (double)o.lock_wait / 1e9, "persistent", PyBool_FromLong(o.persistent), "reserve",
                         PyBool_FromLong(o.reserve), "huge_pages", PyBool_FromLong(o.huge_pages), "anonymous",
                         PyBool_FromLong(o.anonymous));
}

static PyObject *pool_fileno_dup(PyObject *self, PyObject *unused)
{
    (void)unused;
    int fd;
    return ndpool_file(core_of(self), &fd) == NDPOOL_OK ? PyLong_FromLong(fd) : raise_last(state_of(self));
}

/* ---- arrays and transfers */

static PyObject *pool_retain(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"handle", "readonly", NULL};
    PyObject *given;
    int readonly = 0, status;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$p:retain", names, &PyLong_Type, &given, &readonly))
        return NULL;
    ndpool_handle h = PyLong_AsUnsignedLongLong(given);
    if (h == (ndpool_handle)-1 && PyErr_Occurred())
        return NULL;
    ndpool_array a;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_retain(core_of(self), h, readonly ? NDPOOL_READ_ONLY : 0, &a);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(state_of(self));
    block *b = block_new((pool_object *)self, &a, NULL);
    PyObject *x = b ? array_new(state_of(self), b) : NULL;
    unref(b);
    return x;
}

/* Takes 16 bytes, or a message, whose transfer is meant. */
static int transfer_of(core_state *st, PyObject *given, ndpool_transfer *t)
{
    Py_buffer from;
    ndpool_message m;
    ndpool_view v;
    int err = -1;
    if (PyObject_GetBuffer(given, &from, PyBUF_SIMPLE) < 0)
        return -1;
    if (from.len < NDPOOL_SHORT_MESSAGE) {
        err = transfer_parse(st, &from, t);
    } else if (ndpool_message_unpack(from.buf, (size_t)from.len, &m, &v) == NDPOOL_OK) {
        *t = (ndpool_transfer){.handle = m.handle, .ticket = m.ticket};
        err = 0;
    } else {
        raise_last(st);
    }
    PyBuffer_Release(&from);
    return err;
}

static PyObject *pool_recall(PyObject *self, PyObject *given)
{
    ndpool_transfer t;
    int status;
    if (transfer_of(state_of(self), given, &t) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_recall(core_of(self), t);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(state_of(self));
    Py_RETURN_NONE;
}

static PyObject *pool_recall_older(PyObject *self, PyObject *given)
{
    double s = PyFloat_AsDouble(given);
    int64_t age;
    int status, count;
    if ((s == -1 && PyErr_Occurred()) || seconds_to_ns(s, &age) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_recall_older(core_of(self), age, &count);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyLong_FromLong(count) : raise_last(state_of(self));
}

static PyObject *pool_refuse(PyObject *self, PyObject *given)
{
    ndpool_process sender = PyLong_AsUnsignedLongLong(given);
    int status, count;
    if (sender == (ndpool_process)-1 && PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_refuse(core_of(self), sender, &count);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyLong_FromLong(count) : raise_last(state_of(self));
}

static PyObject *pool_alive(PyObject *self, PyObject *given)
{
    ndpool_process id = PyLong_AsUnsignedLongLong(given);
    bool alive;
    if (id == (ndpool_process)-1 && PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    alive = ndpool_alive(core_of(self), id);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(alive);
}

/* ---- care */

static PyObject *pool_reap(PyObject *self, PyObject *unused)
{
    (void)unused;
    ndpool_reaped r = {0};
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_reap(core_of(self), &r);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? reaped_dict(&r) : raise_last(state_of(self));
}

static PyObject *pool_trim(PyObject *self, PyObject *unused)
{
    (void)unused;
    uint64_t freed;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_trim(core_of(self), &freed);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyLong_FromUnsignedLongLong(freed) : raise_last(state_of(self));
}

/* ---- type */

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef pool_methods[] = {
    {"close", pool_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnds the attachment. Memory in use stays until its arrays are gone."},
    {"options", pool_options, METH_NOARGS, "options($self, /)\n--\n\nWhat the pool was created with."},
    {"fileno_dup", pool_fileno_dup, METH_NOARGS,
     "fileno_dup($self, /)\n--\n\nA new descriptor of the file, which the caller closes."},
    {"empty", FUNCTION(pool_empty), METH_FASTCALL | METH_KEYWORDS,
     "empty($self, shape, dtype=None, order='C', zero=False, timeout=0.0)\n--\n\n"
     "A new array in the pool. timeout is how long to wait for room; None: for ever."},
    {"retain", FUNCTION(pool_retain), METH_VARARGS | METH_KEYWORDS,
     "retain($self, handle, *, readonly=False)\n--\n\nThe array of a handle, if somebody still holds it."},
    {"adopt", FUNCTION(pool_adopt_array), METH_VARARGS | METH_KEYWORDS,
     "adopt($self, transfer, *, readonly=False)\n--\n\nThe array of a transfer, 16 bytes or a message. Works once."},
    {"recall", pool_recall, METH_O, "recall($self, transfer, /)\n--\n\nTakes back a transfer of this process."},
    {"recall_older", pool_recall_older, METH_O,
     "recall_older($self, age, /)\n--\n\nTakes back this process's transfers that are older, and says how many."},
    {"refuse", pool_refuse, METH_O,
     "refuse($self, sender, /)\n--\n\nEnds the transfers that a process has directed at this one, and says how many."},
    {"alive", pool_alive, METH_O, "alive($self, process, /)\n--\n\nWhether a process is attached and lives."},
    {"lookup", FUNCTION(pool_lookup), METH_FASTCALL,
     "lookup($self, name, readonly=False, /)\n--\n\nThe array of a name."},
    {"lookup_item", pool_lookup_item, METH_VARARGS,
     "lookup_item($self, name, readonly=False, /)\n--\n\nArray, attributes and version of a name."},
    {"lookup_tree", pool_lookup_tree, METH_VARARGS,
     "lookup_tree($self, prefix, readonly=False, /)\n--\n\nPath, array, attributes and version of all names in a group."},
    {"name_attributes", pool_name_attributes, METH_O,
     "name_attributes($self, name, /)\n--\n\nAttributes and version of a name."},
    {"has", pool_has, METH_O, "has($self, name, /)\n--\n\nWhether there is a name, an array's or a group's."},
    {"paths", pool_paths, METH_O, "paths($self, prefix, /)\n--\n\nPaths of the arrays in a group."},
    {"names", pool_names_list, METH_O, "names($self, prefix, /)\n--\n\nAll names in a group, and the group."},
    {"publish", pool_publish, METH_VARARGS,
     "publish($self, prefix, items, mode, persistent, done, /)\n--\n\n"
     "Publishes paths, whole arrays and attributes at once, and appends the version to done."},
    {"set_attributes", pool_set_attributes, METH_VARARGS,
     "set_attributes($self, name, attributes, version=0, /)\n--\n\nGives a name other attributes; the new version."},
    {"remove", pool_remove, METH_VARARGS,
     "remove($self, name, tree=False, version=0, /)\n--\n\nRemoves names, and says how many."},
    {"lock", pool_lock_name, METH_O, "lock($self, name, /)\n--\n\nThe lock of a name."},
    {"writer", pool_writer, METH_VARARGS,
     "writer($self, name, frames, readers, lossless, persistent, /)\n--\n\nBecomes the writer of a stream."},
    {"reader", pool_reader, METH_VARARGS,
     "reader($self, name, every, from_now, /)\n--\n\nOpens a reader of a stream, which need not be there yet."},
    {"queue", pool_queue, METH_VARARGS,
     "queue($self, name, entries, persistent, /)\n--\n\nOpens a queue, or makes one; without a name if that is None."},
    {"adopt_queue", pool_adopt_queue, METH_O,
     "adopt_queue($self, transfer, /)\n--\n\nThe queue of a transfer. Works once."},
    {"stats", pool_stats_dict, METH_NOARGS, "stats($self, /)\n--\n\nA summary in numbers."},
    {"arrays", pool_arrays, METH_NOARGS, "arrays($self, /)\n--\n\nAll arrays that are alive."},
    {"rings", pool_rings, METH_NOARGS, "rings($self, /)\n--\n\nAll streams and queues that are alive."},
    {"processes", pool_processes, METH_NOARGS, "processes($self, /)\n--\n\nThe process table."},
    {"transfers", pool_transfers, METH_NOARGS, "transfers($self, /)\n--\n\nThe transfers in flight."},
    {"condition", pool_condition, METH_NOARGS,
     "condition($self, /)\n--\n\nThe pool as a whole: live, idle or left behind."},
    {"verify", FUNCTION(pool_verify), METH_VARARGS | METH_KEYWORDS,
     "verify($self, *, content=False)\n--\n\nChecks every word of the segment; with content also hashes."},
    {"reap", pool_reap, METH_NOARGS, "reap($self, /)\n--\n\nSweeps dead processes and expired transfers now."},
    {"trim", pool_trim, METH_NOARGS,
     "trim($self, /)\n--\n\nGives free memory back to the system, and says how many bytes."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pool_getset[] = {
    {"closed", pool_closed, NULL, "Whether the attachment was ended.", NULL},
    {"path", pool_path, NULL, "Path of the file, or a word in angle brackets if it has none.", NULL},
    {"segment", pool_segment, NULL, "16 random bytes, made when the pool was.", NULL},
    {"created", pool_created, NULL, "When the pool was made, seconds since 1970.", NULL},
    {"process", pool_process, NULL, "This process, as others name it in send.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef pool_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(pool_object, weaklist), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_new, pool_new_object},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {Py_tp_getset, pool_getset},
    {Py_tp_members, pool_members},
    {Py_tp_doc, "One attachment to a pool."},
    {0, NULL},
};

PyType_Spec pool_spec = {
    .name = "ndpool._core.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = pool_slots,
};
