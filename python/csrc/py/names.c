/* Names: methods of Pool. Paths and attributes are UTF-8; what Python makes of them is the package's business. */
#include "py.h"

static ndpool *core_of(PyObject *self) { return ((pool_object *)self)->p; }
static core_state *state_of(PyObject *self) { return ((pool_object *)self)->st; }

const char *path_text(core_state *st, PyObject *given)
{
    if (!PyUnicode_Check(given)) {
        PyErr_Format(PyExc_TypeError, "names are str, not %R", (PyObject *)Py_TYPE(given));
        return NULL;
    }
    Py_ssize_t n;
    const char *s = PyUnicode_AsUTF8AndSize(given, &n);
    if (s && strlen(s) == (size_t)n)
        return s;
    if (s)
        raise_as(st, NDPOOL_ERR_PATH, "check name: got a NUL byte in it (none)");
    if (!s && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        raise_as(st, NDPOOL_ERR_PATH, "check name: got text that is not UTF-8 (UTF-8)");
    }
    return NULL;
}

/* ---- looking up */

/* Takes over the reference that *a is. */
static PyObject *array_of(PyObject *self, const ndpool_array *a)
{
    block *b = block_new((pool_object *)self, a, NULL);
    PyObject *x = b ? array_new(state_of(self), b) : NULL;
    unref(b);
    return x;
}

PyObject *pool_lookup(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n < 1 || n > 2) {
        PyErr_Format(PyExc_TypeError, "lookup() takes a name and readonly (%zd arguments given)", n);
        return NULL;
    }
    const char *path = path_text(state_of(self), args[0]);
    int readonly = path && n > 1 ? PyObject_IsTrue(args[1]) : 0, status;
    if (!path || readonly < 0)
        return NULL;
    ndpool_array a;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_lookup(core_of(self), path, readonly ? NDPOOL_READ_ONLY : 0, &a, NULL);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? array_of(self, &a) : raise_last(state_of(self));
}

static PyObject *text_of(const ndpool_name_info *i)
{
    if (!i->attributes)
        return Py_BuildValue("");
    return PyBytes_FromStringAndSize(i->attributes, (Py_ssize_t)i->attributes_bytes);
}

/* Returns the array of a name in a list, which keeps it meanwhile; None for a group. */
static PyObject *listed_array(PyObject *self, const ndpool_name_info *i, bool readonly)
{
    ndpool_array a;
    if (i->flags & NDPOOL_GROUP)
        return Py_BuildValue("");
    if (ndpool_retain(core_of(self), i->array, readonly ? NDPOOL_READ_ONLY : 0, &a) != NDPOOL_OK)
        return raise_last(state_of(self));
    return array_of(self, &a);
}

typedef int (*finder)(ndpool *p, const char *path, ndpool_names **out);

/* Returns what there is, released by names_end, or NULL with an exception. */
static ndpool_names *names_begin(PyObject *self, PyObject *given, finder find)
{
    const char *path = path_text(state_of(self), given);
    if (!path)
        return NULL;
    ndpool_names *found = NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = find(core_of(self), path, &found);
    Py_END_ALLOW_THREADS
    if (status == NDPOOL_OK)
        return found;
    raise_last(state_of(self));
    return NULL;
}

static void names_end(PyObject *self, ndpool_names *found)
{
    Py_BEGIN_ALLOW_THREADS
    ndpool_names_free(core_of(self), found);
    Py_END_ALLOW_THREADS
}

PyObject *pool_lookup_item(PyObject *self, PyObject *args)
{
    PyObject *name, *item = NULL;
    int readonly = 0;
    if (!PyArg_ParseTuple(args, "O|p:lookup_item", &name, &readonly))
        return NULL;
    ndpool_names *found = names_begin(self, name, ndpool_find);
    if (!found)
        return NULL;
    const ndpool_name_info *i = found->names;
    PyObject *array = listed_array(self, i, readonly);
    if (array)
        item = Py_BuildValue("NNK", array, text_of(i), (unsigned long long)i->version);
    names_end(self, found);
    return item;
}

PyObject *pool_name_attributes(PyObject *self, PyObject *name)
{
    ndpool_names *found = names_begin(self, name, ndpool_find);
    if (!found)
        return NULL;
    PyObject *pair = Py_BuildValue("NK", text_of(found->names), (unsigned long long)found->names->version);
    names_end(self, found);
    return pair;
}

/* Makes no exception of what is not there. */
PyObject *pool_has(PyObject *self, PyObject *name)
{
    const char *path = path_text(state_of(self), name);
    if (!path)
        return NULL;
    ndpool_names *found = NULL;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_find(core_of(self), path, &found);
    ndpool_names_free(core_of(self), found);
    Py_END_ALLOW_THREADS
    if (status == NDPOOL_OK || status == NDPOOL_ERR_NO_NAME)
        return PyBool_FromLong(status == NDPOOL_OK);
    return raise_last(state_of(self));
}

/* ---- lists */

typedef PyObject *(*describer)(PyObject *self, const ndpool_name_info *i, const void *arg);

/* Returns a list of what describe makes of each name; what gives None is left out. */
static PyObject *list_names(PyObject *self, PyObject *prefix, describer describe, const void *arg)
{
    ndpool_names *found = names_begin(self, prefix, ndpool_list);
    if (!found)
        return NULL;
    PyObject *list = PyList_New(0);
    for (size_t k = 0; list && k < found->n; k++) {
        PyObject *one = describe(self, &found->names[k], arg);
        if (!one || (one != Py_None && PyList_Append(list, one) < 0))
            Py_CLEAR(list);
        Py_XDECREF(one);
    }
    names_end(self, found);
    return list;
}

static PyObject *text(const char *s) { return PyUnicode_DecodeUTF8(s, (Py_ssize_t)strlen(s), "replace"); }

static PyObject *describe_path(PyObject *self, const ndpool_name_info *i, const void *arg)
{
    (void)self, (void)arg;
    return i->flags & (NDPOOL_GROUP | NDPOOL_RING) ? Py_BuildValue("") : text(i->path);
}

PyObject *pool_paths(PyObject *self, PyObject *prefix) { return list_names(self, prefix, describe_path, NULL); }

/* Returns numpy's dtype of an array's name; None for a group, a stream or a queue. */
static PyObject *dtype_of(PyObject *self, const ndpool_name_info *i)
{
    if (i->flags & (NDPOOL_GROUP | NDPOOL_RING))
        return Py_BuildValue("");
    ndpool_array_info a = {.handle = i->array, .dtype = i->dtype, .ndim = i->ndim, .record_bytes = i->record_bytes};
    element *e = info_element(state_of(self), core_of(self), &a);
    PyObject *dtype = e ? e->dtype : NULL;
    Py_XINCREF(dtype);
    unref(e);
    return dtype;
}

static PyObject *describe_name(PyObject *self, const ndpool_name_info *i, const void *arg)
{
    (void)arg;
    PyObject *dtype = dtype_of(self, i);
    if (!dtype)
        return NULL;
    bool group = i->flags & NDPOOL_GROUP, ring = i->flags & NDPOOL_RING;
    return Py_BuildValue("{sNsKsNsNsNsNsKsKsNsNsNsNsKsN}", "path", text(i->path), "version",
                         (unsigned long long)i->version, "group", PyBool_FromLong(group), "ring",
                         PyBool_FromLong(ring), "persistent", PyBool_FromLong(i->flags & NDPOOL_PERSISTENT), "implicit",
                         PyBool_FromLong(i->flags & NDPOOL_IMPLICIT), "owner", (unsigned long long)i->owner, "handle",
                         (unsigned long long)i->array, "dtype", dtype, "shape",
                         shape_tuple(i->shape, group || ring ? 0 : i->ndim), "fortran",
                         PyBool_FromLong(i->flags & NDPOOL_FORTRAN), "sealed",
                         PyBool_FromLong(i->flags & NDPOOL_SEALED), "bytes", (unsigned long long)i->bytes, "attrs",
                         text_of(i));
}

PyObject *pool_names_list(PyObject *self, PyObject *prefix) { return list_names(self, prefix, describe_name, NULL); }

/* What lookup_tree wants of each name. */
typedef struct branch {
    size_t skip; /* bytes of the prefix and the slash behind it */
    bool readonly;
} branch;

static PyObject *describe_branch(PyObject *self, const ndpool_name_info *i, const void *arg)
{
    const branch *b = arg;
    size_t n = strlen(i->path);
    if (i->flags & NDPOOL_RING && n < b->skip)
        return raise_as(state_of(self), NDPOOL_ERR_KIND, "look up tree: the name is a stream's or a queue's (a group's)");
    if (i->flags & NDPOOL_RING)
        return Py_BuildValue(""); /* left out */
    PyObject *array = listed_array(self, i, b->readonly);
    if (!array)
        return NULL;
    return Py_BuildValue("NNNK", text(i->path + (n < b->skip ? n : b->skip)), array, text_of(i),
                         (unsigned long long)i->version);
}

PyObject *pool_lookup_tree(PyObject *self, PyObject *args)
{
    PyObject *prefix;
    int readonly = 0;
    if (!PyArg_ParseTuple(args, "O|p:lookup_tree", &prefix, &readonly))
        return NULL;
    const char *path = path_text(state_of(self), prefix);
    if (!path)
        return NULL;
    branch b = {.skip = *path ? strlen(path) + 1 : 0, .readonly = readonly};
    return list_names(self, prefix, describe_branch, &b);
}

/* ---- changing */

/* Tells whether an object is an array that has all of a block, as it is stored: 1, 0, or -1 with an exception. If it is,
 * the place is released by place_end. */
int whole_find(core_state *st, PyObject *x, place *at)
{
    if (!PyObject_TypeCheck(x, st->ndarray))
        return 0;
    if (place_find(st, x, at) < 0)
        return -1;
    PyObject *dtype = at->b ? PyObject_GetAttr(x, st->names[S_DTYPE]) : NULL;
    element *e = dtype ? element_of(st, dtype) : NULL;
    bool whole = e && place_whole(at, e);
    unref(e);
    Py_XDECREF(dtype);
    if (!whole)
        place_end(at);
    return PyErr_Occurred() ? -1 : whole;
}

PyObject *is_whole(PyObject *module, PyObject *x)
{
    place at;
    int whole = whole_find(state_of_module(module), x, &at);
    if (whole > 0)
        place_end(&at);
    return whole < 0 ? NULL : PyBool_FromLong(whole);
}

/* Gives the handle of the block of an array of this very attachment. */
static int item_array(PyObject *self, PyObject *array, ndpool_handle *h)
{
    core_state *st = state_of(self);
    place at;
    int whole = whole_find(st, array, &at);
    if (whole <= 0) {
        if (whole == 0)
            raise_as(st, NDPOOL_ERR_MISMATCH, "publish array: got private memory or a part (a whole array)");
        return -1;
    }
    *h = at.b->handle;
    bool own = (PyObject *)at.b->pool == self;
    place_end(&at);
    if (own)
        return 0;
    raise_as(st, NDPOOL_ERR_FOREIGN, "publish array: got an array of another attachment (one of this)");
    return -1;
}

/* What publish was given: borrowed from tuples that the caller keeps. */
static int item_parse(PyObject *self, PyObject *given, ndpool_item *item)
{
    core_state *st = state_of(self);
    PyObject *path, *array, *attributes;
    Py_ssize_t n = 0;
    char *json = NULL;
    if (!PyArg_ParseTuple(given, "OOO:publish", &path, &array, &attributes) || !(item->path = path_text(st, path)))
        return -1;
    if (attributes != Py_None && PyBytes_AsStringAndSize(attributes, &json, &n) < 0)
        return -1;
    item->attributes = json;
    item->attributes_bytes = (size_t)n;
    return array == Py_None ? 0 : item_array(self, array, &item->array);
}

static int flags_of(const char *mode, int persistent, uint32_t *flags)
{
    *flags = persistent ? NDPOOL_PERSISTENT : 0;
    if (strcmp(mode, "overwrite") == 0)
        *flags |= NDPOOL_OVERWRITE;
    else if (strcmp(mode, "merge") == 0)
        *flags |= NDPOOL_MERGE;
    else if (strcmp(mode, "new") != 0) {
        PyErr_Format(PyExc_ValueError, "mode must be new, overwrite or merge (got '%s')", mode);
        return -1;
    }
    return 0;
}

static int put_items(PyObject *self, const char *prefix, PyObject *tuple, uint32_t flags, uint64_t *version)
{
    size_t n = (size_t)PyTuple_Size(tuple);
    ndpool_item *items = PyMem_Calloc(n + 1, sizeof *items);
    int status = NDPOOL_OK;
    if (!items) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t k = 0; k < n && !PyErr_Occurred(); k++)
        (void)item_parse(self, PyTuple_GetItem(tuple, (Py_ssize_t)k), &items[k]);
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        status = ndpool_publish(core_of(self), prefix, items, n, flags, 0, version);
        Py_END_ALLOW_THREADS
        if (status != NDPOOL_OK)
            raise_last(state_of(self));
    }
    PyMem_Free(items);
    return PyErr_Occurred() ? -1 : 0;
}

/* The version goes into the caller's list: a signal's exception may come in place of what a function returns. */
PyObject *pool_publish(PyObject *self, PyObject *args)
{
    PyObject *prefix, *items, *done;
    const char *mode;
    int persistent;
    uint32_t flags;
    uint64_t version = 0;
    if (!PyArg_ParseTuple(args, "OOspO!:publish", &prefix, &items, &mode, &persistent, &PyList_Type, &done) ||
        flags_of(mode, persistent, &flags) < 0)
        return NULL;
    const char *path = path_text(state_of(self), prefix);
    PyObject *tuple = path ? PySequence_Tuple(items) : NULL;
    if (!tuple)
        return NULL;
    int err = put_items(self, path, tuple, flags, &version);
    Py_DECREF(tuple);
    PyObject *number = err < 0 ? NULL : PyLong_FromUnsignedLongLong(version);
    err = number ? PyList_Append(done, number) : -1;
    Py_XDECREF(number);
    return err < 0 ? NULL : Py_BuildValue("");
}

PyObject *pool_set_attributes(PyObject *self, PyObject *args)
{
    PyObject *name;
    const char *json;
    Py_ssize_t n;
    unsigned long long expect = 0;
    if (!PyArg_ParseTuple(args, "Oz#|K:set_attributes", &name, &json, &n, &expect))
        return NULL;
    const char *path = path_text(state_of(self), name);
    if (!path)
        return NULL;
    uint64_t version;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_set_attributes(core_of(self), path, json, (size_t)n, 0, expect, &version);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyLong_FromUnsignedLongLong(version) : raise_last(state_of(self));
}

PyObject *pool_remove(PyObject *self, PyObject *args)
{
    PyObject *name;
    int tree = 0, status;
    unsigned long long expect = 0;
    if (!PyArg_ParseTuple(args, "O|pK:remove", &name, &tree, &expect))
        return NULL;
    const char *path = path_text(state_of(self), name);
    if (!path)
        return NULL;
    uint64_t count;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_remove(core_of(self), path, tree ? NDPOOL_TREE : 0, expect, &count);
    Py_END_ALLOW_THREADS
    return status == NDPOOL_OK ? PyLong_FromUnsignedLongLong(count) : raise_last(state_of(self));
}
