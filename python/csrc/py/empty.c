/* Pool.empty: the way of every new array. */
#include <limits.h>

#include "py.h"

static const int64_t SLICE_NS = 50000000; /* how long to wait for room between looks at signals */
static const int64_t SLACK_NS = 5000000;  /* by which a wait may be shorter than it should */
enum { FILL_BYTES = 64 << 10 };           /* from which on the GIL is released for filling */

/* Parameters, in their order. The package gives all by place, which is quicker. */
enum { SHAPE, DTYPE, ORDER, ZERO, TIMEOUT, PARAMETERS };

static const int names_of[PARAMETERS] = {S_SHAPE, S_DTYPE, S_ORDER, S_ZERO, S_TIMEOUT};

/* What is to be allocated. shape is what numpy is told, a strong reference. */
typedef struct wish {
    ndpool_spec spec;
    element *elem;
    PyObject *shape;
    bool zero;
    int64_t timeout;                   /* nanoseconds; negative: for ever */
    int64_t dims[NDPOOL_MAX_NDIM + 1]; /* one more, for the core to refuse */
} wish;

/* ---- parameters */

static int parameter_of(const core_state *st, PyObject *name)
{
    for (int k = 0; k < PARAMETERS; k++)
        if (st->names[names_of[k]] == name)
            return k;
    for (int k = 0; k < PARAMETERS; k++)
        if (PyUnicode_Compare(st->names[names_of[k]], name) == 0)
            return k;
    PyErr_Format(PyExc_TypeError, "empty() got an unexpected keyword argument '%U'", name);
    return -1;
}

/* Sorts arguments by parameter; those that are not given stay NULL. */
static int sort_arguments(const core_state *st, PyObject *const *args, Py_ssize_t n, PyObject *kwnames,
                          PyObject *by[PARAMETERS])
{
    if (n > PARAMETERS) {
        PyErr_Format(PyExc_TypeError, "empty() takes at most %d positional arguments (%zd given)", PARAMETERS, n);
        return -1;
    }
    for (Py_ssize_t k = 0; k < n; k++)
        by[k] = args[k];
    for (Py_ssize_t k = 0, m = kwnames ? PyTuple_Size(kwnames) : 0; k < m; k++) {
        PyObject *name = PyTuple_GetItem(kwnames, k);
        int parameter = parameter_of(st, name);
        if (parameter < 0)
            return -1;
        if (by[parameter]) {
            PyErr_Format(PyExc_TypeError, "empty() got multiple values for argument '%U'", name);
            return -1;
        }
        by[parameter] = args[n + k];
    }
    if (by[SHAPE])
        return 0;
    PyErr_SetString(PyExc_TypeError, "empty() missing required argument 'shape'");
    return -1;
}

static int add_length(wish *w, PyObject *length, bool *exact)
{
    if (w->spec.ndim == NDPOOL_MAX_NDIM + 1)
        return 0;
    int64_t n;
    if (PyLong_CheckExact(length)) {
        n = PyLong_AsLongLong(length);
    } else {
        *exact = false; /* numpy must see the number that was found now */
        n = PyNumber_AsSsize_t(length, PyExc_OverflowError);
    }
    if (n < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "negative dimensions are not allowed");
        return -1;
    }
    w->dims[w->spec.ndim++] = n;
    return 0;
}

static int add_lengths(wish *w, PyObject *tuple, bool *exact)
{
    for (Py_ssize_t k = 0, n = PyTuple_Size(tuple); k < n; k++)
        if (add_length(w, PyTuple_GetItem(tuple, k), exact) < 0)
            return -1;
    return 0;
}

/* Reads a length, or a sequence of them. */
static int wish_shape(wish *w, PyObject *given)
{
    bool exact = PyLong_CheckExact(given) || PyTuple_CheckExact(given);
    int err;
    if (PyTuple_CheckExact(given)) {
        err = add_lengths(w, given, &exact);
    } else if (PyIndex_Check(given)) {
        err = add_length(w, given, &exact);
    } else {
        PyObject *t = PySequence_Tuple(given);
        err = t ? add_lengths(w, t, &exact) : -1;
        Py_XDECREF(t);
    }
    if (err == 0 && w->elem->suffix) {
        exact = false;
        err = add_lengths(w, w->elem->suffix, &exact);
    }
    if (err < 0)
        return -1;
    if (exact)
        Py_INCREF(given);
    w->shape = exact ? given : shape_tuple(w->dims, w->spec.ndim);
    return w->shape ? 0 : -1;
}

/* "A" and "K" have nothing to follow, as in numpy.empty. */
static int wish_order(const core_state *st, wish *w, PyObject *given)
{
    if (!given || given == st->names[S_C] || given == Py_None)
        return 0;
    Py_ssize_t n = 0;
    const char *s = PyUnicode_Check(given) ? PyUnicode_AsUTF8AndSize(given, &n) : NULL;
    if (PyErr_Occurred())
        return -1;
    if (n != 1 || !strchr("CFAKcfak", s[0])) {
        PyErr_Format(PyExc_ValueError, "order must be one of 'C', 'F', 'A' or 'K' (got %R)", given);
        return -1;
    }
    if (s[0] == 'F' || s[0] == 'f')
        w->spec.flags |= NDPOOL_FORTRAN;
    return 0;
}

static int wish_zero(wish *w, PyObject *given)
{
    int zero = given ? PyObject_IsTrue(given) : 0;
    w->zero = zero == 1;
    return zero < 0 ? -1 : 0;
}

static int wish_timeout(wish *w, PyObject *given)
{
    w->timeout = given == Py_None ? -1 : 0;
    if (!given || given == Py_None)
        return 0;
    double s = PyFloat_AsDouble(given);
    if (s == -1 && PyErr_Occurred())
        return -1;
    return seconds_to_ns(s, &w->timeout);
}

static void wish_end(wish *w)
{
    Py_CLEAR(w->elem);
    Py_CLEAR(w->shape);
}

/* Released by wish_end, also if it fails. */
static int wish_begin(core_state *st, wish *w, PyObject *by[PARAMETERS])
{
    w->spec = (ndpool_spec){.shape = w->dims};
    w->shape = NULL;
    w->elem = element_of(st, by[DTYPE] ? by[DTYPE] : Py_None);
    if (!w->elem || wish_shape(w, by[SHAPE]) < 0 || wish_order(st, w, by[ORDER]) < 0 || wish_zero(w, by[ZERO]) < 0)
        return -1;
    w->spec.dtype = w->elem->code;
    w->spec.record = element_record(w->elem, &w->spec.record_bytes);
    return wish_timeout(w, by[TIMEOUT]);
}

/* ---- allocation */

/* Tells whether there may be room later. */
static bool may_wait(int status)
{
    return status == NDPOOL_ERR_FULL || status == NDPOOL_ERR_TABLE_FULL || status == NDPOOL_ERR_NO_MEMORY ||
           status == NDPOOL_ERR_TIMEOUT;
}

/* Waits for room in slices, between which signals are seen to. A slice that ends early says that there is no hope. */
static int allocate_patiently(pool_object *po, ndpool_spec *spec, int64_t timeout, ndpool_array *a)
{
    int64_t begin = now_ns(), end = timeout < 0 || timeout > INT64_MAX - begin ? INT64_MAX : begin + timeout;
    for (;;) {
        int64_t from = now_ns();
        spec->wait = end - from < SLICE_NS ? (end > from ? end - from : 0) : SLICE_NS;
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = ndpool_alloc(po->p, spec, a);
        Py_END_ALLOW_THREADS
        if (status == NDPOOL_OK)
            return 0;
        int64_t took = now_ns() - from;
        if (!may_wait(status) || spec->wait == 0 || from + spec->wait >= end || took + SLACK_NS < spec->wait) {
            raise_last(po->st);
            return -1;
        }
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

int allocate(pool_object *po, ndpool_spec *spec, int64_t timeout, ndpool_array *a)
{
    spec->flags |= NDPOOL_FAST;
    int status = ndpool_alloc(po->p, spec, a);
    if (status == NDPOOL_OK)
        return 0;
    spec->flags &= ~NDPOOL_FAST;
    if (status == NDPOOL_ERR_TIMEOUT)
        return allocate_patiently(po, spec, timeout, a);
    raise_last(po->st);
    return -1;
}

static void fill(const ndpool_array *a)
{
    if (a->bytes <= FILL_BYTES) {
        memset(a->data, 0, a->bytes);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    memset(a->data, 0, a->bytes);
    Py_END_ALLOW_THREADS
}

static PyObject *grant(pool_object *po, wish *w)
{
    ndpool_array a;
    if (allocate(po, &w->spec, w->timeout, &a) < 0)
        return NULL;
    block *b = block_new(po, &a, w->elem);
    if (!b)
        return NULL;
    if (w->zero)
        fill(&a);
    PyObject *x = array_make(po->st, b, w->shape, w->elem->dtype, w->spec.flags & NDPOOL_FORTRAN);
    unref(b);
    return x;
}

PyObject *pool_empty(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames)
{
    pool_object *po = (pool_object *)self;
    PyObject *by[PARAMETERS] = {NULL}, *x = NULL;
    wish w;
    if (sort_arguments(po->st, args, n, kwnames, by) < 0)
        return NULL;
    if (wish_begin(po->st, &w, by) == 0)
        x = grant(po, &w);
    wish_end(&w);
    return x;
}
