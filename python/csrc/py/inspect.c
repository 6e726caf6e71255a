/* What the core tells about a pool, as dicts. The keys are those of the other implementation's JSON. */
#include <stdlib.h>

#include "py.h"

enum { MAX_FAULTS = 1000, MAX_SLOTS = 256 };

static ndpool *core_of(PyObject *self) { return ((pool_object *)self)->p; }

/* Returns a list entry's dict filled in by format, or NULL. The value is taken over. */
static int append(PyObject *list, PyObject *value)
{
    int err = value ? PyList_Append(list, value) : -1;
    Py_XDECREF(value);
    return err;
}

static double seconds(int64_t ns) { return (double)ns / 1e9; }

/* ---- summary */

typedef struct number {
    const char *name;
    size_t offset; /* of a uint64_t in ndpool_stats_t */
} number;

#define NUMBER(field) {#field, offsetof(ndpool_stats_t, field)}

static const number stats_numbers[] = {
    NUMBER(capacity),  NUMBER(committed),    NUMBER(live),          NUMBER(held),      NUMBER(cached),
    NUMBER(free),      NUMBER(largest_free), NUMBER(tables),        NUMBER(arrays),    NUMBER(array_limit),
    NUMBER(retired),   NUMBER(processes),    NUMBER(process_limit), NUMBER(transfers), NUMBER(transfer_limit),
    NUMBER(names),     NUMBER(name_limit),   NUMBER(takeovers),     NUMBER(sweeps),    NUMBER(expired),
    NUMBER(stolen),    NUMBER(lost),         NUMBER(trimmed),
};

PyObject *pool_stats_dict(PyObject *self, PyObject *unused)
{
    (void)unused;
    ndpool_stats_t s;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_stats(core_of(self), &s);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(((pool_object *)self)->st);
    PyObject *d = PyDict_New();
    for (size_t k = 0; d && k < sizeof stats_numbers / sizeof *stats_numbers; k++) {
        uint64_t n;
        memcpy(&n, (char *)&s + stats_numbers[k].offset, sizeof n);
        PyObject *value = PyLong_FromUnsignedLongLong(n);
        if (!value || PyDict_SetItemString(d, stats_numbers[k].name, value) < 0)
            Py_CLEAR(d);
        Py_XDECREF(value);
    }
    return d;
}

/* ---- arrays */

static PyObject *holders_list(const uint64_t holders[4])
{
    PyObject *list = PyList_New(0);
    for (int slot = 0; list && slot < 254; slot++)
        if (holders[slot / 64] >> slot % 64 & 1 && append(list, PyLong_FromLong(slot)) < 0)
            Py_CLEAR(list);
    return list;
}

/* Returns the element type of an array that others may free meanwhile: of a structured one whose text cannot be read,
 * plain bytes of that size. */
element *info_element(core_state *st, ndpool *p, const ndpool_array_info *i)
{
    if (i->record_bytes == 0)
        return element_decode(st, i->dtype, NULL, 0);
    element *e = NULL;
    char *text = PyMem_Malloc(i->record_bytes);
    if (text && ndpool_info_record(p, i, text) == NDPOOL_OK) {
        e = element_decode(st, i->dtype, text, i->record_bytes);
        PyErr_Clear();
    }
    PyMem_Free(text);
    return e ? e : element_decode(st, NDPOOL_DTYPE('V', 0, i->dtype >> 32), NULL, 0);
}

static PyObject *array_dict(core_state *st, ndpool *p, const ndpool_array_info *i)
{
    element *e = info_element(st, p, i);
    PyObject *shape = shape_tuple(i->shape, i->ndim), *holders = holders_list(i->holders), *d = NULL;
    if (e && shape && holders)
        d = Py_BuildValue("{sKsNsOsOsNsKsKsKsNsNsNsOsIsN}", "handle", (unsigned long long)i->handle, "ring",
                          PyBool_FromLong(i->flags & NDPOOL_RING), "dtype", e->dtype, "shape", shape, "fortran",
                          PyBool_FromLong(i->flags & NDPOOL_FORTRAN), "bytes",
                          (unsigned long long)i->bytes, "extent", (unsigned long long)i->extent, "offset",
                          (unsigned long long)i->offset, "sealed", PyBool_FromLong(i->flags & NDPOOL_SEALED), "hashed",
                          PyBool_FromLong(i->flags & NDPOOL_HASHED), "private",
                          PyBool_FromLong(i->flags & NDPOOL_PRIVATE), "holders", holders, "in_transit",
                          (unsigned int)i->in_transit, "named", PyBool_FromLong(i->named));
    Py_XDECREF(holders);
    Py_XDECREF(shape);
    unref(e);
    return d;
}

/* Returns an empty list, or NULL with an exception if the pool cannot be looked at: the core's functions that list tell
 * only that there is nothing more. */
static PyObject *new_list(PyObject *self)
{
    ndpool_condition_t c;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_condition(core_of(self), &c);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyList_New(0) : raise_last(((pool_object *)self)->st);
}

PyObject *pool_arrays(PyObject *self, PyObject *unused)
{
    (void)unused;
    core_state *st = ((pool_object *)self)->st;
    PyObject *list = new_list(self);
    ndpool_array_info info;
    uint32_t cursor = 0;
    while (list) {
        bool more;
        Py_BEGIN_ALLOW_THREADS
        more = ndpool_next_array(core_of(self), &cursor, &info);
        Py_END_ALLOW_THREADS
        if (!more)
            break;
        if (append(list, array_dict(st, core_of(self), &info)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* ---- streams and queues */

static PyObject *ring_dict(const ndpool_ring_info *i)
{
    PyObject *holders = holders_list(i->holders), *d = NULL;
    if (holders)
        d = Py_BuildValue("{sKsssNsIsIsKsKsKsKsKsIsNsNsIsKsdsO}", "handle", (unsigned long long)i->handle, "kind",
                          i->kind == 1 ? "stream" : "queue", "lossless",
                          PyBool_FromLong(i->flags & NDPOOL_LOSSLESS), "limit", (unsigned int)i->entries, "reader_limit",
                          (unsigned int)i->readers, "head", (unsigned long long)i->head, "tail",
                          (unsigned long long)i->tail, "items", (unsigned long long)i->items, "bytes",
                          (unsigned long long)i->bytes, "writer", (unsigned long long)i->writer, "ended",
                          (unsigned int)i->ended, "died", PyBool_FromLong(i->died), "shut", PyBool_FromLong(i->shut),
                          "entered", (unsigned int)i->entered, "behind", (unsigned long long)i->behind, "newest",
                          seconds(i->newest), "holders", holders);
    Py_XDECREF(holders);
    return d;
}

PyObject *pool_rings(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = new_list(self);
    ndpool_ring_info info;
    uint32_t cursor = 0;
    while (list) {
        bool more;
        Py_BEGIN_ALLOW_THREADS
        more = ndpool_next_ring(core_of(self), &cursor, &info);
        Py_END_ALLOW_THREADS
        if (!more)
            break;
        if (append(list, ring_dict(&info)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* ---- processes */

static PyObject *process_dict(const ndpool_process_info *i)
{
    return Py_BuildValue(
        "{sKsisisisNsKsdsNsNsKsKsK}", "id", (unsigned long long)i->id, "slot", (int)i->slot, "pid", (int)i->pid, "uid",
        (int)i->uid, "command", PyUnicode_DecodeUTF8(i->command, (Py_ssize_t)strlen(i->command), "replace"),
        "pid_namespace", (unsigned long long)i->pid_namespace, "attached", seconds(i->attached), "alive",
        PyBool_FromLong(i->alive), "self", PyBool_FromLong(i->self), "arrays", (unsigned long long)i->arrays, "bytes",
        (unsigned long long)i->bytes, "cached", (unsigned long long)i->cached);
}

PyObject *pool_processes(PyObject *self, PyObject *unused)
{
    (void)unused;
    ndpool_process_info *found = PyMem_Malloc(MAX_SLOTS * sizeof *found);
    PyObject *list = found ? new_list(self) : PyErr_NoMemory();
    size_t n = 0;
    if (list) {
        Py_BEGIN_ALLOW_THREADS
        n = ndpool_processes(core_of(self), found, MAX_SLOTS);
        Py_END_ALLOW_THREADS
    }
    for (size_t k = 0; list && k < n; k++)
        if (append(list, process_dict(&found[k])) < 0)
            Py_CLEAR(list);
    PyMem_Free(found);
    return list;
}

/* ---- transfers */

static PyObject *transfer_dict(const ndpool_transfer_info *i)
{
    return Py_BuildValue("{sNsKsKsdsd}", "transfer", transfer_bytes(i->transfer), "sender",
                         (unsigned long long)i->sender, "receiver", (unsigned long long)i->receiver, "age",
                         seconds(i->age), "expires", seconds(i->expires));
}

PyObject *pool_transfers(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = new_list(self);
    ndpool_transfer_info info;
    uint32_t cursor = 0;
    while (list) {
        bool more;
        Py_BEGIN_ALLOW_THREADS
        more = ndpool_next_transfer(core_of(self), &cursor, &info);
        Py_END_ALLOW_THREADS
        if (!more)
            break;
        if (append(list, transfer_dict(&info)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* ---- the pool as a whole */

PyObject *pool_condition(PyObject *self, PyObject *unused)
{
    (void)unused;
    static const char *const words[] = {
        [NDPOOL_COND_LIVE] = "live", [NDPOOL_COND_IDLE] = "idle", [NDPOOL_COND_LEFT_BEHIND] = "left behind"};
    ndpool_condition_t c;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_condition(core_of(self), &c);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyUnicode_FromString(words[c]) : raise_last(((pool_object *)self)->st);
}

PyObject *reaped_dict(const ndpool_reaped *r)
{
    return Py_BuildValue("{sisisN}", "processes", r->processes, "expired", r->expired, "removed",
                         PyBool_FromLong(r->removed));
}

/* ---- verification */

/* Copies of what the core tells, which is done without the GIL. */
typedef struct fault_list {
    size_t n;
    bool no_memory;
    char *texts[MAX_FAULTS][4]; /* law, place, expected, found */
} fault_list;

static void keep_fault(void *arg, const ndpool_fault *f)
{
    fault_list *l = arg;
    if (l->n == MAX_FAULTS)
        return;
    const char *texts[4] = {f->law, f->place, f->want, f->got};
    for (int k = 0; k < 4; k++)
        if (!(l->texts[l->n][k] = strdup(texts[k] ? texts[k] : "")))
            l->no_memory = true;
    l->n++;
}

static PyObject *text(const char *s) { return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "replace"); }

static PyObject *faults_of(const fault_list *l)
{
    PyObject *list = l->no_memory ? PyErr_NoMemory() : PyList_New(0);
    for (size_t k = 0; list && k < l->n; k++) {
        char *const *t = l->texts[k];
        PyObject *d = Py_BuildValue("{sNsNsNsN}", "law", text(t[0]), "place", text(t[1]), "expected", text(t[2]),
                                    "found", text(t[3]));
        if (append(list, d) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static void faults_end(fault_list *l)
{
    for (size_t k = 0; k < l->n; k++)
        for (int j = 0; j < 4; j++)
            free(l->texts[k][j]);
    free(l);
}

static PyObject *report_dict(const ndpool_report *r, const fault_list *l)
{
    PyObject *faults = faults_of(l);
    if (!faults)
        return NULL;
    return Py_BuildValue("{sNsKsNsNsKsd}", "faults", faults, "more",
                         (unsigned long long)(r->faults > l->n ? r->faults - l->n : 0), "quiet",
                         PyBool_FromLong(r->quiet), "indexes", PyBool_FromLong(r->indexes), "arrays",
                         (unsigned long long)r->arrays, "took", seconds(r->took));
}

PyObject *pool_verify(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"content", NULL};
    int content = 0, status;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:verify", names, &content))
        return NULL;
    fault_list *l = calloc(1, sizeof *l);
    if (!l)
        return PyErr_NoMemory();
    ndpool_report r;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_verify(core_of(self), content ? NDPOOL_CONTENT : 0, keep_fault, l, &r);
    Py_END_ALLOW_THREADS
    PyObject *d = status == NDPOOL_OK ? report_dict(&r, l) : raise_last(((pool_object *)self)->st);
    faults_end(l);
    return d;
}
