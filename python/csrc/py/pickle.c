/* Sending arrays by reference: as 16 bytes, as messages, and as what a pickler of multiprocessing sends. */
#include "py.h"

enum { TRANSFER_BYTES = 16 };

/* ---- bytes of a transfer, little-endian */

static void put64(unsigned char *to, uint64_t v)
{
    for (int k = 0; k < 8; k++)
        to[k] = (unsigned char)(v >> 8 * k);
}

static uint64_t get64(const unsigned char *from)
{
    uint64_t v = 0;
    for (int k = 7; k >= 0; k--)
        v = v << 8 | from[k];
    return v;
}

PyObject *transfer_bytes(ndpool_transfer t)
{
    unsigned char text[TRANSFER_BYTES];
    put64(text, t.handle);
    put64(text + 8, t.ticket);
    return PyBytes_FromStringAndSize((char *)text, sizeof text);
}

int transfer_parse(core_state *st, const Py_buffer *from, ndpool_transfer *t)
{
    if (from->len != TRANSFER_BYTES) {
        raise_as(st, NDPOOL_ERR_MESSAGE, "read transfer: got %zd bytes (%d)", from->len, TRANSFER_BYTES);
        return -1;
    }
    *t = (ndpool_transfer){.handle = get64(from->buf), .ticket = get64((unsigned char *)from->buf + 8)};
    return 0;
}

/* ---- sending */

/* How something is sent. */
typedef enum form {
    FORM_SHORT,  /* 16 bytes if the array is whole */
    FORM_LONG,   /* always a message */
    FORM_PICKLE, /* a message, or None for what has to go by value */
} form;

static PyObject *none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *pack_bytes(core_state *st, const ndpool_message *m, size_t size, form f)
{
    char *buffer = PyMem_Malloc(size);
    if (!buffer)
        return PyErr_NoMemory();
    size_t n;
    int status = ndpool_message_pack(m, buffer, size, &n);
    PyObject *text;
    if (status == NDPOOL_OK)
        text = PyBytes_FromStringAndSize(buffer, (Py_ssize_t)n);
    else
        text = f == FORM_PICKLE && status == NDPOOL_ERR_MESSAGE ? none() : raise_last(st);
    PyMem_Free(buffer);
    return text;
}

/* Returns the message of a transfer that was just opened. If there can be none, the transfer is taken back. */
static PyObject *pack(core_state *st, const place *at, const element *elem, bool whole, ndpool_transfer t, form f)
{
    ndpool_view v;
    ndpool_message m = {.handle = t.handle, .ticket = t.ticket, .view = whole ? NULL : &v};
    size_t size = NDPOOL_SHORT_MESSAGE;
    ndpool_segment(at->b->pool->p, m.segment);
    if (!whole) {
        place_view(at, elem, &v);
        size += 24 + 16 * (size_t)v.ndim + v.record_bytes;
    }
    PyObject *text = pack_bytes(st, &m, size, f);
    if (!text || text == Py_None)
        (void)ndpool_recall(at->b->pool->p, t);
    return text;
}

/* Opens a transfer of the array at a place and says what to send. */
static PyObject *send_place(core_state *st, const place *at, const element *elem, ndpool_process to, form f)
{
    ndpool *p = at->b->pool->p;
    bool whole = place_whole(at, elem);
    ndpool_transfer t;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_send(p, at->b->handle, to, &t);
    Py_END_ALLOW_THREADS
    if (status == NDPOOL_OK)
        return whole && f == FORM_SHORT ? transfer_bytes(t) : pack(st, at, elem, whole, t, f);
    if (f == FORM_PICKLE && (status == NDPOOL_ERR_CLOSED || status == NDPOOL_ERR_FORKED))
        return none();
    return raise_last(st);
}

/* Returns the array's element type, a new reference. NULL without an exception: no other process can be told it, and
 * the array may go by value. */
static element *sendable_element(core_state *st, const place *at, PyObject *x, form f)
{
    PyObject *dtype = PyObject_GetAttr(x, st->names[S_DTYPE]);
    if (!dtype)
        return NULL;
    element *e = at->b->elem;
    if (e->dtype == dtype)
        ref(e);
    else
        e = element_of(st, dtype);
    Py_DECREF(dtype);
    if (f != FORM_PICKLE)
        return e;
    if (e && e->metadata)
        Py_CLEAR(e);
    else if (!e && (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError)))
        PyErr_Clear();
    return e;
}

static PyObject *send_found(core_state *st, PyObject *x, const place *at, ndpool_process to, form f)
{
    element *e = sendable_element(st, at, x, f);
    if (!e)
        return PyErr_Occurred() ? NULL : none();
    PyObject *text = send_place(st, at, e, to, f);
    unref(e);
    return text;
}

static PyObject *send_form(PyObject *module, PyObject *const *args, Py_ssize_t n, form f)
{
    core_state *st = state_of_module(module);
    if (n < 1 || n > 2) {
        PyErr_Format(PyExc_TypeError, "expected an array and perhaps a process, got %zd arguments", n);
        return NULL;
    }
    if (!PyObject_TypeCheck(args[0], st->ndarray)) {
        PyErr_Format(PyExc_TypeError, "expected a numpy.ndarray, got %R", Py_TYPE(args[0]));
        return NULL;
    }
    ndpool_process to = n == 2 ? PyLong_AsUnsignedLongLong(args[1]) : 0;
    if (to == (ndpool_process)-1 && PyErr_Occurred())
        return NULL;
    place at;
    if (place_need(st, args[0], &at) < 0)
        return NULL;
    PyObject *text = send_found(st, args[0], &at, to, f);
    place_end(&at);
    return text;
}

PyObject *send_array(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    return send_form(module, args, n, FORM_SHORT);
}

PyObject *message_array(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
    return send_form(module, args, n, FORM_LONG);
}

/* Subclasses of numpy.ndarray go by value: they have state that the message does not carry. */
PyObject *reduce_array(PyObject *module, PyObject *x)
{
    core_state *st = state_of_module(module);
    if (!Py_IS_TYPE(x, st->ndarray))
        return none();
    place at;
    if (place_find(st, x, &at) < 0)
        return NULL;
    if (!at.b)
        return none();
    PyObject *text = send_found(st, x, &at, 0, FORM_PICKLE), *r = NULL;
    if (text == Py_None)
        r = none();
    else if (text)
        r = Py_BuildValue("(O(OO))", st->rebuild, text, at.b->pool->path);
    Py_XDECREF(text);
    place_end(&at);
    return r;
}

/* ---- receiving */

/* Returns the array of a message that names the pool's own segment, or raises what the core says about it. */
static PyObject *receive(pool_object *po, const ndpool_message *m, uint32_t flags)
{
    ndpool_array a;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_receive(po->p, m, flags, &a);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(po->st);
    block *b = block_new(po, &a, NULL);
    if (!b)
        return NULL;
    PyObject *x = m->view ? array_view(po->st, b, m->view) : array_new(po->st, b);
    unref(b);
    return x;
}

static PyObject *adopt(pool_object *po, ndpool_transfer t, uint32_t flags)
{
    ndpool_array a;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_adopt(po->p, t, flags, &a);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(po->st);
    block *b = block_new(po, &a, NULL);
    PyObject *x = b ? array_new(po->st, b) : NULL;
    unref(b);
    return x;
}

/* Takes 16 bytes or a message. */
PyObject *pool_adopt_array(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"transfer", "readonly", NULL};
    pool_object *po = (pool_object *)self;
    Py_buffer from;
    int readonly = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|$p:adopt", names, &from, &readonly))
        return NULL;
    uint32_t flags = readonly ? NDPOOL_READ_ONLY : 0;
    PyObject *x = NULL;
    ndpool_transfer t;
    ndpool_message m;
    ndpool_view v;
    if (from.len < NDPOOL_SHORT_MESSAGE) {
        if (transfer_parse(po->st, &from, &t) == 0)
            x = adopt(po, t, flags);
    } else if (ndpool_message_unpack(from.buf, (size_t)from.len, &m, &v) == NDPOOL_OK) {
        x = receive(po, &m, flags);
    } else {
        raise_last(po->st);
    }
    PyBuffer_Release(&from);
    return x;
}

/* Returns the pool of a segment, opened by the hook if this process has none open; a new reference. */
static pool_object *pool_for(core_state *st, const uint8_t id[16], PyObject *path)
{
    PyObject *segment = PyBytes_FromStringAndSize((const char *)id, 16);
    PyObject *pool = segment ? pool_of_segment(st, segment) : NULL;
    if (!pool && !PyErr_Occurred()) {
        if (st->attach_hook)
            pool = PyObject_CallFunctionObjArgs(st->attach_hook, segment, path, NULL);
        else
            PyErr_SetString(PyExc_RuntimeError, "attach pool: no hooks were set");
    }
    Py_XDECREF(segment);
    if (pool && !PyObject_TypeCheck(pool, st->pool_type)) {
        PyErr_Format(PyExc_TypeError, "the attach hook returns a Pool, got %R", Py_TYPE(pool));
        Py_CLEAR(pool);
    }
    return (pool_object *)pool;
}

PyObject *rebuild_array(PyObject *module, PyObject *args)
{
    core_state *st = state_of_module(module);
    Py_buffer from;
    PyObject *path, *x = NULL;
    if (!PyArg_ParseTuple(args, "y*U:rebuild", &from, &path))
        return NULL;
    ndpool_message m;
    ndpool_view v;
    if (ndpool_message_unpack(from.buf, (size_t)from.len, &m, &v) == NDPOOL_OK) {
        pool_object *po = pool_for(st, m.segment, path);
        if (po)
            x = receive(po, &m, 0);
        unref(po);
    } else {
        raise_last(st);
    }
    PyBuffer_Release(&from);
    return x;
}
