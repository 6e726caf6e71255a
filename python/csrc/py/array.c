/* Arrays of numpy over blocks, and where a given array lies. */
#include "py.h"

enum { MAX_STEPS = 64 }; /* that are followed from an array to its memory's owner */

/* ---- making arrays */

PyObject *shape_tuple(const int64_t *shape, uint32_t ndim)
{
    PyObject *t = PyTuple_New(ndim);
    for (uint32_t k = 0; t && k < ndim; k++) {
        PyObject *n = PyLong_FromLongLong(shape[k]);
        if (!n || PyTuple_SetItem(t, k, n) < 0)
            Py_CLEAR(t);
    }
    return t;
}

/* Returns an array over the block's memory, whose .base is the Block. args is taken over, NULL if making it failed. */
static PyObject *make(core_state *st, PyObject *args)
{
    PyObject *x = args ? st->ndarray_new(st->ndarray, args, NULL) : NULL;
    Py_XDECREF(args);
    return x;
}

PyObject *array_make(core_state *st, block *b, PyObject *shape, PyObject *dtype, bool fortran)
{
    PyObject *base = (PyObject *)b;
    if (!fortran)
        return make(st, PyTuple_Pack(3, shape, dtype, base));
    return make(st, PyTuple_Pack(6, shape, dtype, base, st->nought, Py_None, st->names[S_F]));
}

PyObject *array_new(core_state *st, block *b)
{
    PyObject *shape = shape_tuple(b->shape, b->ndim);
    PyObject *x = shape ? array_make(st, b, shape, b->elem->dtype, b->fortran) : NULL;
    Py_XDECREF(shape);
    return x;
}

/* Precondition: the view lies within the block. numpy checks it once more. */
PyObject *array_view(core_state *st, block *b, const ndpool_view *v)
{
    element *elem = element_decode(st, v->dtype, v->record, v->record_bytes);
    PyObject *shape = shape_tuple(v->shape, v->ndim), *strides = shape_tuple(v->strides, v->ndim);
    PyObject *offset = PyLong_FromUnsignedLongLong(v->offset), *x = NULL;
    if (elem && shape && strides && offset)
        x = make(st, PyTuple_Pack(5, shape, elem->dtype, (PyObject *)b, offset, strides));
    Py_XDECREF(offset);
    Py_XDECREF(strides);
    Py_XDECREF(shape);
    unref(elem);
    return x;
}

/* ---- finding their place */

/* Returns what the object's memory belongs to, or NULL: there is nothing, or it is not told, or an exception is set. */
static PyObject *owner_of(const core_state *st, PyObject *x)
{
    PyObject *owner = PyObject_GetAttr(x, st->names[PyMemoryView_Check(x) ? S_OBJ : S_BASE]);
    if (owner == Py_None)
        Py_CLEAR(owner);
    if (!owner && (PyErr_ExceptionMatches(PyExc_AttributeError) || PyErr_ExceptionMatches(PyExc_ValueError)))
        PyErr_Clear();
    return owner;
}

/* Tells from which byte to which the array's elements lie; false for strides that lead out of the address space. */
static bool span(const array_interface *a, intptr_t *lo, intptr_t *hi)
{
    *lo = *hi = (intptr_t)a->data;
    for (int k = 0; k < a->nd; k++)
        if (a->shape[k] == 0)
            return true;
    bool over = false;
    for (int k = 0; k < a->nd; k++) {
        intptr_t reach, *end = a->strides[k] < 0 ? lo : hi;
        over |= __builtin_mul_overflow(a->shape[k] - 1, a->strides[k], &reach);
        over |= __builtin_add_overflow(*end, reach, end);
    }
    over |= __builtin_add_overflow(*hi, (intptr_t)a->itemsize, hi);
    return !over;
}

/* Reads the array interface, and forgets the block if the array lies elsewhere: the chain of owners is only a hint,
 * since objects can name whatever they like, and the memory of a sealed block has moved. */
static int place_check(const core_state *st, PyObject *array, place *at)
{
    at->capsule = PyObject_GetAttr(array, st->names[S_ARRAY_STRUCT]);
    at->a = at->capsule ? PyCapsule_GetPointer(at->capsule, NULL) : NULL;
    if (!at->a)
        return -1;
    intptr_t lo, hi, first = (intptr_t)at->b->data;
    if (at->a->two != 2 || !span(at->a, &lo, &hi) || lo < first || (uint64_t)(hi - first) > at->b->bytes)
        Py_CLEAR(at->b);
    return 0;
}

int place_find(core_state *st, PyObject *x, place *at)
{
    *at = (place){0};
    PyObject *array = NULL; /* the first on the way: all others have at least its memory */
    Py_INCREF(x);
    for (int step = 0; x && step < MAX_STEPS && !at->b; step++) {
        if (Py_IS_TYPE(x, st->block_type)) {
            at->b = (block *)x;
            x = NULL;
            break;
        }
        PyObject *owner = owner_of(st, x);
        if (!array && PyObject_TypeCheck(x, st->ndarray))
            array = x;
        else
            Py_DECREF(x);
        x = owner;
    }
    Py_XDECREF(x);
    int err = PyErr_Occurred() || (at->b && array && place_check(st, array, at) < 0) ? -1 : 0;
    Py_XDECREF(array);
    if (err < 0 || !at->b)
        place_end(at);
    return err;
}

int place_need(core_state *st, PyObject *x, place *at)
{
    if (place_find(st, x, at) < 0)
        return -1;
    if (at->b)
        return 0;
    raise_as(st, NDPOOL_ERR_MISMATCH, "find array's block: got private memory (memory of a pool)");
    return -1;
}

void place_end(place *at)
{
    Py_CLEAR(at->b);
    Py_CLEAR(at->capsule);
    at->a = NULL;
}

/* Tells whether the elements follow each other without gaps. Strides that lead nowhere do not count. */
static bool contiguous(const array_interface *a, bool fortran)
{
    intptr_t next = a->itemsize;
    for (int k = 0; k < a->nd; k++)
        if (a->shape[k] == 0)
            return true;
    for (int k = 0; k < a->nd; k++) {
        int d = fortran ? k : a->nd - 1 - k;
        if (a->shape[d] != 1 && a->strides[d] != next)
            return false;
        next *= a->shape[d];
    }
    return true;
}

/* Precondition: the place is an array's. */
bool place_whole(const place *at, const element *elem)
{
    const array_interface *a = at->a;
    const block *b = at->b;
    if (a->data != b->data || (uint32_t)a->nd != b->ndim || !element_same(elem, b->elem))
        return false;
    for (int k = 0; k < a->nd; k++)
        if (a->shape[k] != b->shape[k])
            return false;
    return contiguous(a, b->fortran);
}

/* Precondition: the place is an array's. */
bool place_covers(const place *at, bool *fortran)
{
    const array_interface *a = at->a;
    uint64_t bytes = (uint64_t)a->itemsize;
    for (int k = 0; k < a->nd; k++)
        bytes *= (uint64_t)a->shape[k];
    *fortran = !contiguous(a, false);
    return a->data == at->b->data && bytes == at->b->bytes && (!*fortran || contiguous(a, true));
}

/* Precondition: the place is an array's. */
void place_view(const place *at, const element *elem, ndpool_view *v)
{
    const array_interface *a = at->a;
    v->offset = (uint64_t)((char *)a->data - (char *)at->b->data);
    v->dtype = elem->code;
    v->record = element_record(elem, &v->record_bytes);
    v->ndim = (uint32_t)a->nd;
    for (int k = 0; k < a->nd; k++) {
        v->shape[k] = a->shape[k];
        v->strides[k] = a->strides[k];
    }
}
