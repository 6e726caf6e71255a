/*
 * Queue: items in and out. An item is an array, bytes, or a pickle, with arrays that belong to it; what they mean in Python is
 * the package's business. Bytes are copied into the pool here, and out of it.
 */
#include "py.h"

static void finish_queue(void *q) { ndpool_queue_close(q); }

/* ---- in */

enum { FEW = 8, COPY_BYTES = 64 << 10 }; /* the latter: from which on the GIL is released for copying */

/* Entries on their way into the queue. Released by batch_end. */
typedef struct batch {
    pool_object *pool;
    ndpool_put *puts; /* leads to few, or to memory of its own */
    bool *own;        /* whether the reference to an entry's block is the batch's, and not the caller's */
    size_t n;
    int64_t end;  /* of the time to wait for room, as now_ns counts; negative: never */
    bool foreign; /* there is an array that must be copied first */
    ndpool_put few[FEW];
    bool few_own[FEW];
} batch;

static int64_t time_left(const batch *b)
{
    if (b->end < 0)
        return -1;
    int64_t left = b->end - now_ns();
    return left > 0 ? left : 0;
}

static void add(batch *b, ndpool_handle h, uint32_t kind, bool own)
{
    b->puts[b->n] = (ndpool_put){.array = h, .kind = kind};
    b->own[b->n++] = own;
}

static void copy_bytes(void *to, const Py_buffer *from)
{
    if (from->len <= COPY_BYTES) {
        memcpy(to, from->buf, (size_t)from->len);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    memcpy(to, from->buf, (size_t)from->len);
    Py_END_ALLOW_THREADS
}

/* Copies bytes into a block. */
static int add_bytes(batch *b, PyObject *given, uint32_t kind)
{
    Py_buffer from;
    ndpool_array a;
    if (PyObject_GetBuffer(given, &from, PyBUF_SIMPLE) < 0)
        return -1;
    int64_t length = from.len;
    ndpool_spec spec = {.dtype = NDPOOL_UINT8, .ndim = 1, .shape = &length};
    int err = allocate(b->pool, &spec, time_left(b), &a);
    if (err == 0) {
        copy_bytes(a.data, &from);
        add(b, a.handle, kind, true);
    }
    PyBuffer_Release(&from);
    return err;
}

static int add_entry(batch *b, PyObject *given, uint32_t kind)
{
    core_state *st = b->pool->st;
    place at;
    if (Py_IS_TYPE(given, st->block_type) && ((block *)given)->pool == b->pool) {
        add(b, ((block *)given)->handle, kind, false);
        return 0;
    }
    if (!PyObject_TypeCheck(given, st->ndarray))
        return add_bytes(b, given, kind);
    int whole = whole_find(st, given, &at);
    if (whole <= 0) {
        b->foreign = whole == 0;
        return -1;
    }
    b->foreign = at.b->pool != b->pool;
    if (!b->foreign)
        add(b, at.b->handle, kind, false);
    place_end(&at);
    return b->foreign ? -1 : 0;
}

static void batch_end(batch *b)
{
    for (size_t k = 0; k < b->n; k++)
        if (b->own[k])
            (void)ndpool_release(b->pool->p, b->puts[k].array);
    if (b->puts != b->few) {
        PyMem_Free(b->puts);
        PyMem_Free(b->own);
    }
}

static int batch_room(batch *b, size_t n)
{
    b->puts = b->few;
    b->own = b->few_own;
    if (n <= FEW)
        return 0;
    ndpool_put *puts = PyMem_Calloc(n, sizeof *puts);
    bool *own = PyMem_Calloc(n, sizeof *own);
    if (puts && own) {
        b->puts = puts;
        b->own = own;
        return 0;
    }
    PyMem_Free(puts);
    PyMem_Free(own);
    PyErr_NoMemory();
    return -1;
}

/* Released by batch_end, also if it fails. The caller keeps the tuple, and so the arrays. */
static int batch_begin(batch *b, PyObject *entries, PyObject *kinds)
{
    char *kind;
    Py_ssize_t n;
    bool good = PyTuple_Check(entries) && PyBytes_AsStringAndSize(kinds, &kind, &n) == 0 && n == PyTuple_Size(entries);
    if (batch_room(b, good ? (size_t)n : 0) < 0)
        return -1;
    if (!good && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "expected a tuple of entries, and as many kinds");
    for (Py_ssize_t k = 0; good && k < n; k++)
        good = add_entry(b, PyTuple_GetItem(entries, k), (unsigned char)kind[k]) == 0;
    return good ? 0 : -1;
}

typedef int (*putter)(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait, ndpool_go_on go_on, void *arg,
                      size_t *done);

/* The same as ndpool_queue_put, for one item. */
static int put_back(ndpool_queue *q, const ndpool_put *entries, size_t n, int64_t wait, ndpool_go_on go_on, void *arg,
                    size_t *done)
{
    int status = ndpool_queue_put_back(q, entries, n, wait, go_on, arg);
    *done = status == NDPOOL_OK ? n : 0;
    return status;
}

/* Returns how many entries were put. If none was, that is 0 when the time was up; all else raises. */
static PyObject *put_batch(ring_end *e, const batch *b, putter how)
{
    ring_wait w;
    size_t done = 0;
    int64_t left = time_left(b);
    wait_begin(&w, e);
    int status = how(e->core, b->puts, b->n, left, wait_go_on, &w, &done);
    bool up = status == NDPOOL_ERR_TIMEOUT && !atomic_load(&e->closed);
    if (wait_end(&w, !w.failed && (up || done > 0) ? NDPOOL_OK : status, "put into queue") < 0)
        return NULL;
    return PyLong_FromSize_t(done);
}

static PyObject *put(PyObject *self, PyObject *const *args, Py_ssize_t n, putter how)
{
    ring_end *e = (ring_end *)self;
    PyObject *done = NULL;
    int64_t wait;
    if (n != 3) {
        PyErr_Format(PyExc_TypeError, "expected entries, kinds and timeout (%zd arguments given)", n);
        return NULL;
    }
    if (timeout_ns(args[2], &wait) < 0 || end_enter(e, "put into queue", &wait) < 0)
        return NULL;
    batch b = {.pool = e->pool, .end = wait};
    if (wait >= 0)
        b.end = __builtin_add_overflow(now_ns(), wait, &b.end) ? INT64_MAX : b.end;
    if (batch_begin(&b, args[0], args[1]) == 0)
        done = put_batch(e, &b, how);
    else if (b.foreign)
        done = Py_BuildValue("");
    batch_end(&b);
    end_leave(e);
    return done;
}

/* Returns None if an array must be copied first. */
static PyObject *queue_put(PyObject *self, PyObject *const *args, Py_ssize_t n) { return put(self, args, n, ndpool_queue_put); }

static PyObject *queue_put_back(PyObject *self, PyObject *const *args, Py_ssize_t n) { return put(self, args, n, put_back); }

/* ---- out */

enum { MOST = 256 }; /* entries that are got at once, unless one item has more */

/* Takes over the reference. A pickle is left where it is, for who reads it. */
static PyObject *got_object(pool_object *po, const ndpool_got *g)
{
    PyObject *x;
    if (g->kind == NDPOOL_ITEM_BYTES) {
        x = PyBytes_FromStringAndSize(g->array.data, (Py_ssize_t)g->array.bytes);
        (void)ndpool_release(po->p, g->array.handle);
        return x;
    }
    block *b = block_new(po, &g->array, NULL);
    x = b && g->kind != NDPOOL_ITEM_PICKLE ? array_new(po->st, b) : (PyObject *)b;
    if (x != (PyObject *)b)
        unref(b);
    return x;
}

/* Takes over the references of an item. */
static PyObject *got_item(pool_object *po, const ndpool_got *g)
{
    PyObject *item = PyTuple_New((Py_ssize_t)g->more + 2);
    PyObject *kind = PyLong_FromUnsignedLong(g->kind);
    bool good = item && kind && PyTuple_SetItem(item, 0, kind) == 0;
    if (!good)
        Py_XDECREF(kind);
    for (uint32_t k = 0; k <= g->more; k++) {
        PyObject *x = good ? got_object(po, g + k) : NULL;
        if (!good)
            (void)ndpool_release(po->p, g[k].array.handle);
        good = x && PyTuple_SetItem(item, (Py_ssize_t)k + 1, x) == 0;
    }
    if (!good)
        Py_CLEAR(item);
    return item;
}

/* Returns an item that is the exception that was raised instead of it. */
static PyObject *failed_item(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *item = value ? Py_BuildValue("(iO)", 0, value) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return item;
}

/* Takes over all references. */
static PyObject *got_list(pool_object *po, const ndpool_got *got, size_t n)
{
    PyObject *list = PyList_New(0);
    size_t k = 0;
    while (list && k < n) {
        PyObject *item = got_item(po, got + k);
        k += (size_t)got[k].more + 1;
        if (!item)
            item = failed_item();
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    for (; k < n; k++)
        (void)ndpool_release(po->p, got[k].array.handle);
    return list;
}

/* Gets up to items into room for size entries. If the first item has more, *size is how many, and None is returned with it. */
static PyObject *get_into(ring_end *e, ndpool_got *room, size_t *size, size_t items, int64_t *wait)
{
    ring_wait w;
    size_t n = 0;
    int64_t begin = *wait > 0 ? now_ns() : 0;
    wait_begin(&w, e);
    int status = ndpool_queue_get(e->core, items, room, *size, *wait, wait_go_on, &w, &n);
    uint64_t asked = status == NDPOOL_ERR_TOO_LONG ? ndpool_last_error()->asked : 0;
    bool up = status == NDPOOL_ERR_TIMEOUT && !w.failed && !atomic_load(&e->closed);
    bool again = status == NDPOOL_ERR_TOO_LONG && asked > *size;
    if (wait_end(&w, up || again ? NDPOOL_OK : status, "get from queue") < 0)
        return NULL;
    if (*wait > 0) {
        int64_t took = now_ns() - begin;
        *wait = took < *wait ? *wait - took : 0;
    }
    *size = again ? (size_t)asked : 0;
    return status == NDPOOL_OK ? got_list(e->pool, room, n) : Py_BuildValue("");
}

/* Makes room for longer items as it meets them. */
static PyObject *get_within(ring_end *e, size_t items, int64_t wait)
{
    ndpool_got one;
    PyObject *list = NULL;
    size_t size = items < MOST ? items : MOST;
    while (size > 0) {
        ndpool_got *room = size == 1 ? &one : PyMem_Calloc(size, sizeof *room);
        Py_XDECREF(list);
        list = room ? get_into(e, room, &size, items, &wait) : PyErr_NoMemory();
        if (room != &one)
            PyMem_Free(room);
        if (!list)
            break;
    }
    return list;
}

/* Returns None when the time is up. */
static PyObject *queue_get(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    ring_end *e = (ring_end *)self;
    int64_t wait;
    if (n != 2) {
        PyErr_Format(PyExc_TypeError, "get() takes how many and timeout (%zd arguments given)", n);
        return NULL;
    }
    Py_ssize_t items = PyLong_AsSsize_t(args[0]);
    if (items < 1 || timeout_ns(args[1], &wait) < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "get() takes at least one item");
        return NULL;
    }
    if (end_enter(e, "get from queue", &wait) < 0)
        return NULL;
    PyObject *list = get_within(e, (size_t)items, wait);
    end_leave(e);
    return list;
}

/* ---- the rest */

static PyObject *queue_look(PyObject *self, PyObject *unused)
{
    (void)unused;
    ring_end *e = (ring_end *)self;
    ndpool_queue_info i;
    int64_t wait = 0;
    int status;
    if (end_enter(e, "look at queue", &wait) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_queue_look(e->core, &i);
    Py_END_ALLOW_THREADS
    PyObject *t = NULL;
    if (status == NDPOOL_OK)
        t = Py_BuildValue("KKKN", (unsigned long long)i.items, (unsigned long long)i.entries, (unsigned long long)i.limit,
                          PyBool_FromLong(i.shut));
    else
        raise_last(e->pool->st);
    end_leave(e);
    return t;
}

static PyObject *queue_shut(PyObject *self, PyObject *unused)
{
    (void)unused;
    ring_end *e = (ring_end *)self;
    int64_t wait = 0;
    int status;
    if (end_enter(e, "shut queue down", &wait) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_queue_shut(e->core);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        raise_last(e->pool->st);
    end_leave(e);
    return status == NDPOOL_OK ? Py_BuildValue("") : NULL;
}

static PyObject *queue_send(PyObject *self, PyObject *unused)
{
    (void)unused;
    ring_end *e = (ring_end *)self;
    ndpool_transfer t;
    int64_t wait = 0;
    int status;
    if (end_enter(e, "send queue", &wait) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_send(e->pool->p, ndpool_queue_handle(e->core), 0, &t);
    Py_END_ALLOW_THREADS
    PyObject *text = status == NDPOOL_OK ? transfer_bytes(t) : raise_last(e->pool->st);
    end_leave(e);
    return text;
}

static PyObject *queue_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    end_close((ring_end *)self);
    Py_RETURN_NONE;
}

/* Takes over the queue. */
static PyObject *queue_new(pool_object *po, int status, ndpool_queue *q)
{
    return status == NDPOOL_OK ? (PyObject *)end_new(po, po->st->queue_type, q, finish_queue, false) : raise_last(po->st);
}

PyObject *pool_queue(PyObject *self, PyObject *args)
{
    pool_object *po = (pool_object *)self;
    PyObject *name;
    unsigned int entries;
    int persistent, status;
    const char *path = NULL;
    if (!PyArg_ParseTuple(args, "OIp:queue", &name, &entries, &persistent))
        return NULL;
    if (name != Py_None && !(path = path_text(po->st, name)))
        return NULL;
    ndpool_ring_options o = {.entries = entries, .flags = persistent ? NDPOOL_PERSISTENT : 0};
    ndpool_queue *q = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_queue_open(po->p, path, &o, &q);
    Py_END_ALLOW_THREADS
    return queue_new(po, status, q);
}

PyObject *pool_adopt_queue(PyObject *self, PyObject *transfer)
{
    pool_object *po = (pool_object *)self;
    Py_buffer from;
    ndpool_transfer t;
    int status;
    if (PyObject_GetBuffer(transfer, &from, PyBUF_SIMPLE) < 0)
        return NULL;
    int err = transfer_parse(po->st, &from, &t);
    PyBuffer_Release(&from);
    if (err < 0)
        return NULL;
    ndpool_queue *q = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_queue_adopt(po->p, t, &q);
    Py_END_ALLOW_THREADS
    return queue_new(po, status, q);
}

/* ---- type */

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef queue_methods[] = {
    {"put", FUNCTION(queue_put), METH_FASTCALL,
     "put($self, entries, kinds, timeout, /)\n--\n\n"
     "Puts items; how many entries were put in time. None if an array is no whole one of the same Pool."},
    {"put_back", FUNCTION(queue_put_back), METH_FASTCALL,
     "put_back($self, entries, kinds, timeout, /)\n--\n\nPuts one item before all others; how many entries were."},
    {"get", FUNCTION(queue_get), METH_FASTCALL,
     "get($self, items, timeout, /)\n--\n\nGets up to so many items, at least one; None if there was none in time."},
    {"look", queue_look, METH_NOARGS, "look($self, /)\n--\n\nItems, entries, limit, and whether it was shut down."},
    {"shut", queue_shut, METH_NOARGS, "shut($self, /)\n--\n\nFrom now on nobody puts."},
    {"send", queue_send, METH_NOARGS, "send($self, /)\n--\n\nOpens a transfer of the queue, of 16 bytes."},
    {"close", queue_close, METH_NOARGS, "close($self, /)\n--\n\nLets go of the queue."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef queue_getset[] = {
    {"closed", end_closed, NULL, "Whether it was closed.", NULL},
    {"pool", end_pool, NULL, "The Pool that the queue is in.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_dealloc, end_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {Py_tp_doc, "This process's hold on a queue. Any thread may use it, and any number at once."},
    {0, NULL},
};

PyType_Spec queue_spec = {
    .name = "ndpool._core.Queue",
    .basicsize = sizeof(ring_end),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = queue_slots,
};
