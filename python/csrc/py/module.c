/* The module: its state, its types, and the functions that take any array. */
#include "py.h"

core_state *state_of_module(PyObject *module) { return PyModule_GetState(module); }

core_state *state_of_type(PyTypeObject *type)
{
    for (; type; type = PyType_GetSlot(type, Py_tp_base)) {
        PyObject *module = PyType_GetModule(type);
        if (module && PyModule_GetDef(module) == &core_module)
            return PyModule_GetState(module);
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_TypeError, "not a class made from ndpool._core.Pool");
    return NULL;
}

PyObject *lookup(PyObject *dict, PyObject *key)
{
#ifdef Py_GIL_DISABLED
    PyObject *value;
    (void)PyDict_GetItemRef(dict, key, &value);
#else
    PyObject *value = PyDict_GetItemWithError(dict, key);
    Py_XINCREF(value);
#endif
    return value;
}

/* ---- functions of one array */

static PyObject *block_of(PyObject *module, PyObject *x)
{
    place at;
    if (place_find(state_of_module(module), x, &at) < 0)
        return NULL;
    PyObject *b = at.b ? (PyObject *)at.b : Py_None;
    Py_INCREF(b);
    place_end(&at);
    return b;
}

/* Whoever is given the handle can retain it, so this shares the block. */
static PyObject *handle_of(PyObject *module, PyObject *x)
{
    core_state *st = state_of_module(module);
    place at;
    if (place_need(st, x, &at) < 0)
        return NULL;
    PyObject *h = NULL;
    if (ndpool_share(at.b->pool->p, at.b->handle) == NDPOOL_OK)
        h = PyLong_FromUnsignedLongLong(at.b->handle);
    else
        raise_last(st);
    place_end(&at);
    return h;
}

static PyObject *ask(PyObject *module, PyObject *x, bool (*question)(ndpool *, ndpool_handle))
{
    place at;
    if (place_need(state_of_module(module), x, &at) < 0)
        return NULL;
    bool answer = question(at.b->pool->p, at.b->handle);
    place_end(&at);
    return PyBool_FromLong(answer);
}

static PyObject *is_sealed(PyObject *module, PyObject *x) { return ask(module, x, ndpool_is_sealed); }

static PyObject *is_private(PyObject *module, PyObject *x) { return ask(module, x, ndpool_is_private); }

static PyObject *check_hash(PyObject *module, PyObject *x)
{
    core_state *st = state_of_module(module);
    place at;
    int status;
    if (place_need(st, x, &at) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_check_hash(at.b->pool->p, at.b->handle);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        raise_last(st);
    place_end(&at);
    if (status != NDPOOL_OK)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- sealing */

/* Seals the block, which has its memory elsewhere from then on, and returns an array like the one given over it. That
 * one still leads to writable memory and is no array of the pool any more. */
static PyObject *seal_place(core_state *st, PyObject *x, const place *at, bool hash)
{
    bool fortran;
    if (!place_covers(at, &fortran))
        return raise_as(st, NDPOOL_ERR_MISMATCH, "seal array: got a part of a block (all of its %llu bytes)",
                        (unsigned long long)at->b->bytes);
    PyObject *shape = PyObject_GetAttr(x, st->names[S_SHAPE]), *dtype = PyObject_GetAttr(x, st->names[S_DTYPE]),
             *sealed = NULL;
    void *data;
    int status = NDPOOL_OK;
    if (shape && dtype) {
        Py_BEGIN_ALLOW_THREADS
        status = ndpool_seal(at->b->pool->p, at->b->handle, hash ? NDPOOL_HASH : 0, &data);
        Py_END_ALLOW_THREADS
        if (status != NDPOOL_OK) {
            raise_last(st);
        } else {
            at->b->data = data;
            at->b->readonly = true;
            sealed = array_make(st, at->b, shape, dtype, fortran);
        }
    }
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    return sealed;
}

static PyObject *seal(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "hash", NULL};
    core_state *st = state_of_module(module);
    PyObject *x;
    int hash = 0;
    place at;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|p:seal", names, st->ndarray, &x, &hash) ||
        place_need(st, x, &at) < 0)
        return NULL;
    PyObject *sealed = seal_place(st, x, &at, hash);
    place_end(&at);
    return sealed;
}

/* ---- functions of a name */

static PyObject *by_name(PyObject *module, PyObject *args, PyObject *kwargs, const char *format, bool reap)
{
    static char *names[] = {"name", "dir", NULL};
    PyObject *name = NULL, *dir = NULL, *dir_bytes = NULL, *result = NULL;
    ndpool_options o = NDPOOL_OPTIONS_INIT;
    ndpool_reaped r = {0};
    int status;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, PyUnicode_FSConverter, &name, &dir))
        return NULL;
    if (options_from(&o, dir, &dir_bytes) == 0) {
        const char *path = PyBytes_AsString(name);
        Py_BEGIN_ALLOW_THREADS
        status = reap ? ndpool_reap_name(path, &o, &r) : ndpool_unlink(path, &o);
        Py_END_ALLOW_THREADS
        if (status != NDPOOL_OK)
            raise_last(state_of_module(module));
        else
            result = reap ? reaped_dict(&r) : Py_BuildValue("");
    }
    Py_XDECREF(dir_bytes);
    Py_DECREF(name);
    return result;
}

static PyObject *unlink_name(PyObject *module, PyObject *args, PyObject *kwargs)
{
    return by_name(module, args, kwargs, "O&|$O:unlink", false);
}

static PyObject *reap_name(PyObject *module, PyObject *args, PyObject *kwargs)
{
    return by_name(module, args, kwargs, "O&|$O:reap", true);
}

static PyObject *at_exit(PyObject *module, PyObject *unused)
{
    (void)unused;
    live_exit(state_of_module(module));
    Py_RETURN_NONE;
}

/* ---- hooks */

static void set_hook(PyObject **slot, PyObject *hook)
{
    PyObject *old = *slot;
    Py_INCREF(hook);
    *slot = hook;
    Py_XDECREF(old);
}

static PyObject *set_hooks(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"error", "attach", "encode", "decode", NULL};
    core_state *st = state_of_module(module);
    PyObject *error, *attach, *encode, *decode;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OOOO:set_hooks", names, &error, &attach, &encode, &decode))
        return NULL;
    set_hook(&st->error_hook, error);
    set_hook(&st->attach_hook, attach);
    set_hook(&st->encode_hook, encode);
    set_hook(&st->decode_hook, decode);
    if (st->elements)
        PyDict_Clear(st->elements);
    if (st->decoded)
        PyDict_Clear(st->decoded);
    Py_RETURN_NONE;
}

/* How long a sleep at a stream or queue may last: tests that look for lost wake-ups make it long. Nobody else calls it. */
extern int64_t ring_max_sleep;

static PyObject *test_ring_sleep(PyObject *module, PyObject *ns)
{
    (void)module;
    long long given = PyLong_AsLongLong(ns);
    if (given == -1 && PyErr_Occurred())
        return NULL;
    ring_max_sleep = given;
    Py_RETURN_NONE;
}

/* ---- making the module */

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef functions[] = {
    {"block_of", block_of, METH_O,
     "block_of(array, /)\n--\n\nThe Block that the array lies in; None for private memory."},
    {"handle", handle_of, METH_O,
     "handle(array, /)\n--\n\nThe handle of the array's block, which others can retain from now on."},
    {"is_sealed", is_sealed, METH_O, "is_sealed(array, /)\n--\n\nWhether the array is immutable for everybody."},
    {"is_private", is_private, METH_O, "is_private(array, /)\n--\n\nWhether the array was never shared."},
    {"is_whole", is_whole, METH_O,
     "is_whole(array, /)\n--\n\nWhether an object is an array that has all of a block, as it is stored."},
    {"check_hash", check_hash, METH_O, "check_hash(array, /)\n--\n\nCompares a sealed array with its hash."},
    {"send", FUNCTION(send_array), METH_FASTCALL,
     "send(array, to=0, /)\n--\n\n16 bytes for a whole array, a message of 40 or more for a view; to be adopted once."},
    {"message", FUNCTION(message_array), METH_FASTCALL,
     "message(array, to=0, /)\n--\n\nLike send, always in the long form, which carries the segment's id."},
    {"seal", FUNCTION(seal), METH_VARARGS | METH_KEYWORDS,
     "seal(array, /, hash=False)\n--\n\n"
     "Seals the block and returns the read-only array that takes the place of the one given,\n"
     "which must not be used any more, nor anything made from it."},
    {"reduce", reduce_array, METH_O,
     "reduce(array, /)\n--\n\nWhat a pickler needs to send the array by reference; None if it has to go by value."},
    {"rebuild", rebuild_array, METH_VARARGS, "rebuild(message, path, /)\n--\n\nAdopts what reduce sent."},
    {"unlink", FUNCTION(unlink_name), METH_VARARGS | METH_KEYWORDS,
     "unlink(name, *, dir=None)\n--\n\nRemoves a pool's name. Processes that are attached go on."},
    {"reap", FUNCTION(reap_name), METH_VARARGS | METH_KEYWORDS,
     "reap(name, *, dir=None)\n--\n\nSweeps a pool, and removes it if nobody is left to keep it."},
    {"at_exit", at_exit, METH_NOARGS,
     "at_exit()\n--\n\nLeaves all pools now, whatever is held: for the very end of a process."},
    {"set_hooks", FUNCTION(set_hooks), METH_VARARGS | METH_KEYWORDS,
     "set_hooks(*, error, attach, encode, decode)\n--\n\nTells the core whom to ask."},
    {"_test_ring_sleep", test_ring_sleep, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

/* Words of the state that are interned strings. */
static const char *const names[S_END] = {
    [S_BASE] = "base",
    [S_OBJ] = "obj",
    [S_DTYPE] = "dtype",
    [S_SHAPE] = "shape",
    [S_METADATA] = "metadata",
    [S_ARRAY_STRUCT] = "__array_struct__",
    [S_ORDER] = "order",
    [S_ZERO] = "zero",
    [S_TIMEOUT] = "timeout",
    [S_C] = "C",
    [S_F] = "F",
};

static int take_numpy(core_state *st)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (!numpy)
        return -1;
    st->ndarray = (PyTypeObject *)PyObject_GetAttrString(numpy, "ndarray");
    st->dtype = (PyTypeObject *)PyObject_GetAttrString(numpy, "dtype");
    st->np_empty = PyObject_GetAttrString(numpy, "empty");
    Py_DECREF(numpy);
    if (!st->ndarray || !st->dtype || !st->np_empty)
        return -1;
    if (!PyType_Check((PyObject *)st->ndarray) || !PyType_Check((PyObject *)st->dtype)) {
        PyErr_SetString(PyExc_ImportError, "numpy.ndarray and numpy.dtype are no classes");
        return -1;
    }
    st->ndarray_new = (newfunc)PyType_GetSlot(st->ndarray, Py_tp_new);
    return 0;
}

static int make_tables(core_state *st)
{
    for (int k = 0; k < S_END; k++)
        if (!(st->names[k] = PyUnicode_InternFromString(names[k])))
            return -1;
    st->elements = PyDict_New();
    st->decoded = PyDict_New();
    st->pools = PyDict_New();
    st->nought = PyLong_FromLong(0);
    st->no_shape = Py_BuildValue("(i)", 0);
    return st->elements && st->decoded && st->pools && st->nought && st->no_shape ? 0 : -1;
}

static PyTypeObject *make_type(PyObject *module, PyType_Spec *spec)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
}

static int core_exec(PyObject *module)
{
    core_state *st = state_of_module(module);
    if (live_setup() < 0 || make_tables(st) < 0 || take_numpy(st) < 0)
        return -1;
    st->pool_type = make_type(module, &pool_spec);
    st->block_type = make_type(module, &block_spec);
    st->element_type = make_type(module, &element_spec);
    st->lock_type = make_type(module, &lock_spec);
    st->writer_type = make_type(module, &writer_spec);
    st->reader_type = make_type(module, &reader_spec);
    st->queue_type = make_type(module, &queue_spec);
    PyTypeObject *shown[] = {st->pool_type,   st->block_type,  st->lock_type,
                             st->writer_type, st->reader_type, st->queue_type};
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
        if (!shown[k] || PyModule_AddType(module, shown[k]) < 0)
            return -1;
    if (!st->element_type)
        return -1;
    st->rebuild = PyObject_GetAttrString(module, "rebuild");
    return st->rebuild ? PyModule_AddStringConstant(module, "VERSION", ndpool_version()) : -1;
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *st = state_of_module(module);
    Py_VISIT(st->pool_type);
    Py_VISIT(st->block_type);
    Py_VISIT(st->element_type);
    Py_VISIT(st->lock_type);
    Py_VISIT(st->writer_type);
    Py_VISIT(st->reader_type);
    Py_VISIT(st->queue_type);
    Py_VISIT(st->error_hook);
    Py_VISIT(st->attach_hook);
    Py_VISIT(st->encode_hook);
    Py_VISIT(st->decode_hook);
    Py_VISIT(st->elements);
    Py_VISIT(st->decoded);
    Py_VISIT(st->pools);
    Py_VISIT(st->rebuild);
    return 0;
}

/* What makes cycles goes. The rest stays until the module is freed, since objects that outlive the clearing may still
 * look at it; they find dicts and types of ours gone, and raise. */
static int core_clear(PyObject *module)
{
    core_state *st = state_of_module(module);
    Py_CLEAR(st->error_hook);
    Py_CLEAR(st->attach_hook);
    Py_CLEAR(st->encode_hook);
    Py_CLEAR(st->decode_hook);
    Py_CLEAR(st->elements);
    Py_CLEAR(st->decoded);
    Py_CLEAR(st->pools);
    Py_CLEAR(st->rebuild);
    Py_CLEAR(st->pool_type);
    Py_CLEAR(st->block_type);
    Py_CLEAR(st->element_type);
    Py_CLEAR(st->lock_type);
    Py_CLEAR(st->writer_type);
    Py_CLEAR(st->reader_type);
    Py_CLEAR(st->queue_type);
    return 0;
}

static void core_free(void *module)
{
    core_state *st = state_of_module(module);
    (void)core_clear(module);
    Py_CLEAR(st->ndarray);
    Py_CLEAR(st->dtype);
    Py_CLEAR(st->np_empty);
    Py_CLEAR(st->nought);
    Py_CLEAR(st->no_shape);
    for (int k = 0; k < S_END; k++)
        Py_CLEAR(st->names[k]);
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
#if !defined(Py_LIMITED_API) && PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ndpool._core",
    .m_doc = "The C core: pools, blocks, and the two functions that pickling rests on.",
    .m_size = sizeof(core_state),
    .m_methods = functions,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&core_module); }
