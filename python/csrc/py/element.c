/* Element types: numpy's dtypes on one side, codes and records on the other. Both directions are cached. */
#include "py.h"

enum { MAX_CACHED = 4096 }; /* entries of each cache; then it starts anew */

static void element_dealloc(PyObject *self)
{
    element *e = (element *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(e->key);
    Py_XDECREF(e->dtype);
    Py_XDECREF(e->suffix);
    Py_XDECREF(e->record);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot element_slots[] = {
    {Py_tp_dealloc, element_dealloc},
    {0, NULL},
};

PyType_Spec element_spec = {
    .name = "ndpool._core.Element",
    .basicsize = sizeof(element),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = element_slots,
};

/* Returns an element that is to be filled in, or NULL with an exception. */
static element *element_begin(core_state *st, PyObject *key)
{
    element *e = PyObject_New(element, st->element_type);
    if (!e)
        return NULL;
    Py_XINCREF(key);
    e->key = key;
    e->dtype = e->suffix = e->record = NULL;
    e->code = 0;
    e->metadata = false;
    return e;
}

static int remember(PyObject *cache, PyObject *key, element *e)
{
    if (PyDict_Size(cache) >= MAX_CACHED)
        PyDict_Clear(cache);
    return PyDict_SetItem(cache, key, (PyObject *)e);
}

bool element_same(const element *a, const element *b)
{
    if (a == b)
        return true;
    if (a->code != b->code || !a->record != !b->record)
        return false;
    return !a->record || PyObject_RichCompareBool(a->record, b->record, Py_EQ) == 1; /* of bytes: it cannot fail */
}

const char *element_record(const element *e, uint32_t *bytes)
{
    *bytes = e->record ? (uint32_t)PyBytes_Size(e->record) : 0;
    return e->record ? PyBytes_AsString(e->record) : NULL;
}

/* ---- from numpy */

/* Fills in what numpy makes of it: np.empty knows about empty strings and sub-arrays. */
static int element_resolve(core_state *st, element *e, PyObject *given)
{
    PyObject *probe = PyObject_CallFunctionObjArgs(st->np_empty, st->no_shape, given, NULL);
    if (!probe)
        return -1;
    e->dtype = PyObject_GetAttr(probe, st->names[S_DTYPE]);
    PyObject *shape = PyObject_GetAttr(probe, st->names[S_SHAPE]);
    Py_DECREF(probe);
    if (e->dtype && shape && PyTuple_Size(shape) > 1)
        e->suffix = PyTuple_GetSlice(shape, 1, PyTuple_Size(shape));
    Py_XDECREF(shape);
    if (PyErr_Occurred())
        return -1;
    PyObject *metadata = PyObject_GetAttr(e->dtype, st->names[S_METADATA]);
    e->metadata = metadata && metadata != Py_None;
    Py_XDECREF(metadata);
    return metadata ? 0 : -1;
}

static int element_encode(core_state *st, element *e)
{
    if (!st->encode_hook) {
        PyErr_SetString(PyExc_RuntimeError, "encode dtype: no hooks were set");
        return -1;
    }
    PyObject *pair = PyObject_CallFunctionObjArgs(st->encode_hook, e->dtype, NULL);
    if (!pair)
        return -1;
    unsigned long long code;
    PyObject *record;
    int ok =
        PyTuple_Check(pair) && PyArg_ParseTuple(pair, "KS;the encode hook returns a code and a record", &code, &record);
    if (!ok && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "the encode hook returns a code and a record");
    if (ok) {
        e->code = code;
        if (PyBytes_Size(record) > 0) {
            Py_INCREF(record);
            e->record = record;
        }
    }
    Py_DECREF(pair);
    return ok ? 0 : -1;
}

static element *element_make(core_state *st, PyObject *given)
{
    element *e = element_begin(st, given);
    if (!e)
        return NULL;
    if (element_resolve(st, e, given) == 0 && element_encode(st, e) == 0)
        return e;
    unref(e);
    return NULL;
}

/* Tells whether an entry that compares equal to what was given means the same. dtypes may be equal and differ in their
 * metadata and alignment, so only the very same object counts. */
static inline bool element_is(const element *e, PyObject *given)
{
    return e->key == given || e->dtype == given || PyUnicode_CheckExact(given);
}

/* Tells whether the meaning of a name for a dtype never changes. */
static inline bool is_constant(const core_state *st, PyObject *given)
{
    return Py_IS_TYPE(given, &PyType_Type) || given == Py_None || PyUnicode_CheckExact(given) ||
           PyObject_TypeCheck(given, st->dtype);
}

/* Returns the element type that numpy makes of what was given, a new reference, or NULL with an exception. */
element *element_of(core_state *st, PyObject *given)
{
    if (!st->elements) {
        PyErr_SetString(PyExc_RuntimeError, "ndpool._core is gone");
        return NULL;
    }
    if (!is_constant(st, given))
        return element_make(st, given);
    element *e = (element *)lookup(st->elements, given);
    if (e && element_is(e, given))
        return e;
    unref(e);
    if (PyErr_Occurred())
        return NULL;
    e = element_make(st, given);
    if (e && remember(st->elements, given, e) < 0)
        Py_CLEAR(e);
    return e;
}

/* ---- from the segment */

static PyObject *decode_key(uint64_t code, const void *record, size_t record_bytes)
{
    if (record_bytes == 0)
        return PyLong_FromUnsignedLongLong(code);
    return Py_BuildValue("(Ky#)", (unsigned long long)code, record, (Py_ssize_t)record_bytes);
}

static int element_ask(core_state *st, element *e, uint64_t code, const void *record, size_t record_bytes)
{
    if (!st->decode_hook) {
        PyErr_SetString(PyExc_RuntimeError, "decode dtype: no hooks were set");
        return -1;
    }
    PyObject *n = PyLong_FromUnsignedLongLong(code);
    PyObject *text = PyBytes_FromStringAndSize(record, (Py_ssize_t)record_bytes);
    if (n && text)
        e->dtype = PyObject_CallFunctionObjArgs(st->decode_hook, n, text, NULL);
    Py_XDECREF(n);
    e->code = code;
    if (record_bytes > 0)
        e->record = text;
    else
        Py_XDECREF(text);
    if (e->dtype && !PyObject_TypeCheck(e->dtype, st->dtype))
        PyErr_SetString(PyExc_TypeError, "the decode hook returns a numpy.dtype");
    return PyErr_Occurred() ? -1 : 0;
}

/* Returns the element type of a code and a record, a new reference, or NULL with an exception. */
element *element_decode(core_state *st, uint64_t code, const void *record, size_t record_bytes)
{
    PyObject *key = st->decoded ? decode_key(code, record, record_bytes) : NULL;
    if (!key) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "ndpool._core is gone");
        return NULL;
    }
    element *e = (element *)lookup(st->decoded, key);
    if (!e && !PyErr_Occurred()) {
        e = element_begin(st, NULL);
        if (e && (element_ask(st, e, code, record, record_bytes) < 0 || remember(st->decoded, key, e) < 0))
            Py_CLEAR(e);
    }
    Py_DECREF(key);
    return e;
}
