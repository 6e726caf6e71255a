/* Writer and Reader: the ends of a stream. What a frame is in Python is the package's business. */
#include "py.h"

/* ---- writer */

static void finish_writer(void *w) { ndpool_writer_close(w); }

/* Says that an array's memory is not to be written any more, of it and of the arrays that it was made from. Others that were
 * made from them before still lead to the same memory. */
static int freeze(core_state *st, PyObject *x, block *b)
{
    b->readonly = true;
    Py_INCREF(x);
    while (x && PyObject_TypeCheck(x, st->ndarray)) {
        PyObject *done = PyObject_CallMethod(x, "setflags", "i", 0), *base = PyObject_GetAttr(x, st->names[S_BASE]);
        Py_DECREF(x);
        x = base;
        if (!done)
            Py_CLEAR(x);
        Py_XDECREF(done);
    }
    Py_XDECREF(x);
    return x ? 0 : -1;
}

/* Publishes the array at a place. It may be sealed also if this fails. */
static int publish(ring_end *e, const place *at, const char *text, Py_ssize_t n, int64_t wait, uint64_t *sequence)
{
    ring_wait w;
    wait_begin(&w, e);
    int status = ndpool_writer_publish(e->core, at->b->handle, text, (size_t)n, wait, wait_go_on, &w, sequence);
    return wait_end(&w, status, "publish frame");
}

static PyObject *publish_place(ring_end *e, PyObject *x, const place *at, const char *text, Py_ssize_t n, int64_t wait)
{
    core_state *st = e->pool->st;
    uint64_t sequence = 0;
    int err = publish(e, at, text, n, wait, &sequence);
    if (err < 0) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        if (ndpool_is_sealed(e->pool->p, at->b->handle))
            (void)freeze(st, x, at->b);
        PyErr_Clear();
        PyErr_Restore(type, value, trace);
        return NULL;
    }
    return freeze(st, x, at->b) < 0 ? NULL : PyLong_FromUnsignedLongLong(sequence);
}

/* Returns None for what must be copied first. */
static PyObject *writer_publish(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    ring_end *e = (ring_end *)self;
    core_state *st = e->pool->st;
    char *text = NULL;
    Py_ssize_t bytes = 0;
    int64_t wait;
    if (n != 3) {
        PyErr_Format(PyExc_TypeError, "publish() takes an array, attributes and timeout (%zd arguments given)", n);
        return NULL;
    }
    if (timeout_ns(args[2], &wait) < 0 || (args[1] != Py_None && PyBytes_AsStringAndSize(args[1], &text, &bytes) < 0))
        return NULL;
    place at;
    int whole = whole_find(st, args[0], &at);
    if (whole > 0 && at.b->pool != e->pool) {
        place_end(&at);
        whole = 0;
    }
    if (whole <= 0)
        return whole < 0 ? NULL : Py_BuildValue("");
    PyObject *sequence = NULL;
    int err = end_enter(e, "publish frame", &wait);
    if (err == 0) {
        sequence = publish_place(e, args[0], &at, text, bytes, wait);
        end_leave(e);
    } else if (err > 0) {
        raise_as(st, NDPOOL_ERR_TIMEOUT, "publish frame: another thread is publishing");
    }
    place_end(&at);
    return sequence;
}

static PyObject *writer_await_readers(PyObject *self, PyObject *args)
{
    ring_end *e = (ring_end *)self;
    PyObject *timeout;
    unsigned int n;
    int64_t wait;
    if (!PyArg_ParseTuple(args, "IO:await_readers", &n, &timeout) || timeout_ns(timeout, &wait) < 0)
        return NULL;
    int err = end_enter(e, "await readers", &wait);
    if (err > 0)
        return raise_as(e->pool->st, NDPOOL_ERR_TIMEOUT, "await readers: another thread is publishing");
    if (err < 0)
        return NULL;
    ring_wait w;
    wait_begin(&w, e);
    err = wait_end(&w, ndpool_writer_await_readers(e->core, n, wait, wait_go_on, &w), "await readers");
    end_leave(e);
    return err < 0 ? NULL : Py_BuildValue("");
}

static PyObject *close_end(PyObject *self, PyObject *unused)
{
    (void)unused;
    end_close((ring_end *)self);
    Py_RETURN_NONE;
}

PyObject *pool_writer(PyObject *self, PyObject *args)
{
    pool_object *po = (pool_object *)self;
    PyObject *name;
    unsigned int frames, readers;
    int lossless, persistent, status;
    if (!PyArg_ParseTuple(args, "OIIpp:writer", &name, &frames, &readers, &lossless, &persistent))
        return NULL;
    const char *path = path_text(po->st, name);
    if (!path)
        return NULL;
    ndpool_ring_options o = {.entries = frames, .readers = readers};
    o.flags = (lossless ? NDPOOL_LOSSLESS : 0) | (persistent ? NDPOOL_PERSISTENT : 0);
    ndpool_writer *w = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_writer_open(po->p, path, &o, &w);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? (PyObject *)end_new(po, po->st->writer_type, w, finish_writer, true) : raise_last(po->st);
}

/* ---- reader */

static void finish_reader(void *r) { ndpool_reader_close(r); }

/* Takes over the references of a frame. */
static PyObject *frame_tuple(pool_object *po, const ndpool_frame *f)
{
    PyObject *text = f->text ? PyBytes_FromStringAndSize(f->text, (Py_ssize_t)f->text_bytes) : Py_BuildValue("");
    if (f->attributes)
        (void)ndpool_release(po->p, f->attributes);
    block *b = block_new(po, &f->array, NULL);
    PyObject *x = b ? array_new(po->st, b) : NULL;
    unref(b);
    if (x && text)
        return Py_BuildValue("NKKLLN", x, (unsigned long long)f->sequence, (unsigned long long)f->skipped,
                             (long long)f->monotonic, (long long)f->wall, text);
    Py_XDECREF(x);
    Py_XDECREF(text);
    return NULL;
}

/* First with the GIL: that takes no lock and does not wait. Then without. 0, -1 with an exception, or 1 if there is no newest
 * frame. */
static int read_frame(ring_end *e, uint32_t flags, int64_t wait, ndpool_frame *f)
{
    int status = ndpool_reader_read(e->core, flags | NDPOOL_FAST, 0, NULL, NULL, f);
    if (status == NDPOOL_OK)
        return 0;
    if (status != NDPOOL_ERR_TIMEOUT) {
        raise_last(e->pool->st);
        return -1;
    }
    ring_wait w;
    wait_begin(&w, e);
    status = ndpool_reader_read(e->core, flags, wait, wait_go_on, &w, f);
    bool none = status == NDPOOL_ERR_TIMEOUT && flags & NDPOOL_AGAIN;
    int err = wait_end(&w, none ? NDPOOL_OK : status, "read frame");
    return err == 0 && none ? 1 : err;
}

static PyObject *read_within(ring_end *e, uint32_t flags, int64_t wait)
{
    ndpool_frame f;
    int err = end_enter(e, "read frame", &wait);
    if (err > 0)
        return raise_as(e->pool->st, NDPOOL_ERR_TIMEOUT, "read frame: another thread is reading");
    if (err < 0)
        return NULL;
    err = read_frame(e, flags, wait, &f);
    end_leave(e);
    if (err > 0)
        return Py_BuildValue("");
    return err < 0 ? NULL : frame_tuple(e->pool, &f);
}

static PyObject *reader_latest(PyObject *self, PyObject *timeout)
{
    int64_t wait;
    return timeout_ns(timeout, &wait) < 0 ? NULL : read_within((ring_end *)self, 0, wait);
}

static PyObject *reader_next(PyObject *self, PyObject *timeout)
{
    int64_t wait;
    return timeout_ns(timeout, &wait) < 0 ? NULL : read_within((ring_end *)self, NDPOOL_NEXT, wait);
}

static PyObject *reader_newest(PyObject *self, PyObject *unused)
{
    (void)unused;
    return read_within((ring_end *)self, NDPOOL_AGAIN, 0);
}

PyObject *pool_reader(PyObject *self, PyObject *args)
{
    pool_object *po = (pool_object *)self;
    PyObject *name;
    int every, from_now, status;
    if (!PyArg_ParseTuple(args, "Opp:reader", &name, &every, &from_now))
        return NULL;
    const char *path = path_text(po->st, name);
    if (!path)
        return NULL;
    uint32_t flags = (every ? NDPOOL_EVERY : 0) | (from_now ? NDPOOL_FROM_NOW : 0);
    ndpool_reader *r = NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_reader_open(po->p, path, flags, &r);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? (PyObject *)end_new(po, po->st->reader_type, r, finish_reader, true) : raise_last(po->st);
}

/* ---- types */

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef writer_methods[] = {
    {"await_readers", writer_await_readers, METH_VARARGS,
     "await_readers($self, n, timeout, /)\n--\n\nWaits until n readers are entered."},
    {"publish", FUNCTION(writer_publish), METH_FASTCALL,
     "publish($self, array, attributes, timeout, /)\n--\n\n"
     "Seals and publishes a whole array of the same Pool; its sequence. None if it is no such array."},
    {"close", close_end, METH_NOARGS, "close($self, /)\n--\n\nEnds the writer, and tells the readers."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef reader_methods[] = {
    {"latest", reader_latest, METH_O, "latest($self, timeout, /)\n--\n\nThe newest frame, once it was not read yet."},
    {"next", reader_next, METH_O, "next($self, timeout, /)\n--\n\nThe oldest frame that was not read yet."},
    {"newest", reader_newest, METH_NOARGS, "newest($self, /)\n--\n\nThe newest frame at once, read or not."},
    {"close", close_end, METH_NOARGS, "close($self, /)\n--\n\nEnds the reader."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef end_getset[] = {
    {"closed", end_closed, NULL, "Whether it was closed.", NULL},
    {"pool", end_pool, NULL, "The Pool that the stream is in.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot writer_slots[] = {
    {Py_tp_dealloc, end_dealloc},
    {Py_tp_methods, writer_methods},
    {Py_tp_getset, end_getset},
    {Py_tp_doc, "The writer of a stream. Any thread may use it; they take turns."},
    {0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_dealloc, end_dealloc},
    {Py_tp_methods, reader_methods},
    {Py_tp_getset, end_getset},
    {Py_tp_doc, "A reader of a stream. Any thread may use it; they take turns."},
    {0, NULL},
};

PyType_Spec writer_spec = {
    .name = "ndpool._core.Writer",
    .basicsize = sizeof(ring_end),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = writer_slots,
};

PyType_Spec reader_spec = {
    .name = "ndpool._core.Reader",
    .basicsize = sizeof(ring_end),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};
