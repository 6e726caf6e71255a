/* Block: one reference of this process to a block of a pool. */
#include "py.h"

/* Runs no Python code. A forked child that could not attach has no reference to end: the core says so, and nobody is
 * told. */
static void block_dealloc(PyObject *self)
{
    block *b = (block *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (b->weaklist)
        PyObject_ClearWeakRefs(self);
    if (b->handle)
        (void)ndpool_release(b->pool->p, b->handle);
    if (b->shape != b->dims)
        PyMem_Free(b->shape);
    unref(b->elem);
    unref(b->pool);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int block_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    block *b = (block *)self;
    return PyBuffer_FillInfo(view, self, b->data, (Py_ssize_t)b->bytes, b->readonly, flags);
}

static PyObject *block_pool(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *pool = (PyObject *)((block *)self)->pool;
    Py_INCREF(pool);
    return pool;
}

static PyObject *block_handle(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((block *)self)->handle);
}

static PyObject *block_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(((block *)self)->data);
}

static PyObject *block_nbytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((block *)self)->bytes);
}

static PyObject *block_readonly(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((block *)self)->readonly);
}

static PyGetSetDef block_getset[] = {
    {"pool", block_pool, NULL, "The Pool that the block lies in.", NULL},
    {"handle", block_handle, NULL, "The block's handle. Others can retain it once the array was shared.", NULL},
    {"address", block_address, NULL, "Address of the first byte in this process.", NULL},
    {"nbytes", block_nbytes, NULL, "Bytes of the stored array.", NULL},
    {"readonly", block_readonly, NULL, "Whether the memory faults on a store.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef block_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(block, weaklist), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot block_slots[] = {
    {Py_tp_dealloc, block_dealloc},
    {Py_tp_getset, block_getset},
    {Py_tp_members, block_members},
    {Py_bf_getbuffer, block_getbuffer},
    {Py_tp_doc, "One reference of this process to a block: the .base of every pool array. Ends with the object."},
    {0, NULL},
};

PyType_Spec block_spec = {
    .name = "ndpool._core.Block",
    .basicsize = sizeof(block),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = block_slots,
};

/* Keeps the shape, for telling whether an array is the whole block. */
static int keep_shape(block *b, const ndpool_array *a)
{
    if (a->ndim > BLOCK_DIMS) {
        int64_t *more = PyMem_Malloc(a->ndim * sizeof *more);
        if (!more) {
            PyErr_NoMemory();
            return -1;
        }
        b->shape = more;
    }
    b->ndim = a->ndim;
    for (uint32_t k = 0; k < a->ndim; k++)
        b->shape[k] = a->shape[k];
    return 0;
}

/* Finds out the element type of a block that came from elsewhere. */
static element *stored_element(core_state *st, const block *b, const ndpool_array *a)
{
    if (a->record_bytes == 0)
        return element_decode(st, a->dtype, NULL, 0);
    char *text = PyMem_Malloc(a->record_bytes);
    if (!text) {
        PyErr_NoMemory();
        return NULL;
    }
    element *e = NULL;
    if (ndpool_record(b->pool->p, b->handle, text, a->record_bytes) == NDPOOL_OK)
        e = element_decode(st, a->dtype, text, a->record_bytes);
    else
        raise_last(st);
    PyMem_Free(text);
    return e;
}

block *block_new(pool_object *po, const ndpool_array *a, element *elem)
{
    block *b = po->st->block_type ? PyObject_New(block, po->st->block_type) : NULL;
    if (!b) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "ndpool._core is gone");
        (void)ndpool_release(po->p, a->handle);
        return NULL;
    }
    ref(po);
    b->pool = po;
    b->handle = a->handle; /* from here on the object ends the reference */
    b->data = a->data;
    b->bytes = a->bytes;
    b->shape = b->dims;
    b->ndim = 0;
    b->fortran = a->flags & NDPOOL_FORTRAN;
    b->readonly = a->flags & NDPOOL_READ_ONLY;
    b->weaklist = NULL;
    ref(elem);
    b->elem = elem;
    if (keep_shape(b, a) < 0 || (!elem && !(b->elem = stored_element(po->st, b, a))))
        Py_CLEAR(b);
    return b;
}
