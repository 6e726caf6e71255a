/*
 * NameLock: the lock of a name. A process has it, not an object: objects are made at will, and what a thread has is kept
 * by the Pool, for telling one that it would wait for itself. All is done here and not in Python, so that no signal comes
 * between getting the lock and the beginning of a with block, or between its end and letting go.
 */
#include "py.h"

typedef struct name_lock {
    PyObject_HEAD
    pool_object *pool;
    PyObject *name;
    ndpool_name_lock where;
    PyObject *readers; /* the other side; NULL: this is it */
    bool torn;         /* as it was told when this object last got the lock */
} name_lock;

static uint32_t side_of(const name_lock *l) { return l->readers ? 0 : NDPOOL_READ_ONLY; }

/* ---- who has what: sets of threads by name, in the Pool. A forked child has nothing. Without the GIL one of two readers
 * that come at once may be left out, and wait for himself one day: nothing else rests on it. */

static PyObject *thread_number(void) { return PyLong_FromUnsignedLong(PyThread_get_thread_ident()); }

/* Returns the threads that have the lock of a name, or NULL: nobody, or an exception is set. */
static PyObject *threads_of(name_lock *l)
{
    pool_object *po = l->pool;
    ndpool_process self = ndpool_self(po->p);
    if (po->lockers_process != self)
        PyDict_Clear(po->lockers);
    po->lockers_process = self;
    return lookup(po->lockers, l->name);
}

static int remember(name_lock *l)
{
    PyObject *threads = threads_of(l), *me = thread_number();
    if (!threads && !PyErr_Occurred()) {
        threads = PySet_New(NULL);
        if (threads && PyDict_SetItem(l->pool->lockers, l->name, threads) < 0)
            Py_CLEAR(threads);
    }
    int err = threads && me ? PySet_Add(threads, me) : -1;
    Py_XDECREF(me);
    Py_XDECREF(threads);
    return err;
}

/* Another thread than the one that got it may let go: then any is forgotten. No exception is set or lost. */
static void forget(name_lock *l)
{
    PyObject *threads = threads_of(l), *me = thread_number();
    if (threads && me && PySet_Discard(threads, me) == 0)
        Py_XDECREF(PySet_Pop(threads));
    PyErr_Clear();
    if (threads && PySet_Size(threads) == 0 && PyDict_DelItem(l->pool->lockers, l->name) < 0)
        PyErr_Clear();
    Py_XDECREF(me);
    Py_XDECREF(threads);
}

/* Tells whether this thread has the lock: 1, 0, or -1 with an exception. */
static int mine(name_lock *l)
{
    PyObject *threads = threads_of(l), *me = threads ? thread_number() : NULL;
    int found = me ? PySet_Contains(threads, me) : PyErr_Occurred() ? -1 : 0;
    Py_XDECREF(me);
    Py_XDECREF(threads);
    return found;
}

/* ---- waiting */

/* A wait without the GIL, in which signals are seen to. */
typedef struct waiter {
    PyThreadState *thread;
    bool failed; /* an exception is set */
} waiter;

static bool go_on(void *arg)
{
    waiter *w = arg;
    PyEval_RestoreThread(w->thread);
    w->failed = PyErr_CheckSignals() < 0;
    w->thread = PyEval_SaveThread();
    return !w->failed;
}

/* Returns 1, 0 when the time is up, or -1 with an exception. */
static int get(name_lock *l, int64_t wait)
{
    waiter w = {.thread = PyEval_SaveThread()};
    int status = ndpool_lock_while(l->pool->p, l->where, side_of(l), wait, go_on, &w, &l->torn);
    PyEval_RestoreThread(w.thread);
    if (w.failed)
        return -1;
    if (status == NDPOOL_OK)
        return 1;
    if (status == NDPOOL_ERR_TIMEOUT)
        return 0;
    raise_last(l->pool->st);
    return -1;
}

/* A lock that went with its name was let go then. */
static int let_go(name_lock *l)
{
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_unlock(l->pool->p, l->where, side_of(l));
    Py_END_ALLOW_THREADS
    if (status == NDPOOL_OK || status == NDPOOL_ERR_NO_NAME) {
        forget(l);
        return 0;
    }
    raise_last(l->pool->st);
    return -1;
}

/* Negative: for ever. */
static int acquire(name_lock *l, int64_t wait)
{
    int own = wait < 0 ? mine(l) : 0;
    if (own > 0)
        PyErr_Format(PyExc_RuntimeError, "lock name: this thread has the lock of %R already", l->name);
    if (own)
        return -1;
    int got = get(l, wait);
    if (got <= 0 || remember(l) == 0)
        return got;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (let_go(l) < 0)
        PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return -1;
}

/* ---- methods */

static PyObject *lock_acquire(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    int64_t wait = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:acquire", names, &timeout))
        return NULL;
    if (timeout != Py_None) {
        double s = PyFloat_AsDouble(timeout);
        if ((s == -1 && PyErr_Occurred()) || seconds_to_ns(s, &wait) < 0)
            return NULL;
    }
    int got = acquire((name_lock *)self, wait);
    return got < 0 ? NULL : PyBool_FromLong(got);
}

static PyObject *lock_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    return let_go((name_lock *)self) < 0 ? NULL : Py_BuildValue("");
}

static PyObject *lock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (acquire((name_lock *)self, -1) < 0)
        return NULL;
    Py_INCREF(self);
    return self;
}

static PyObject *lock_name(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *name = ((name_lock *)self)->name;
    Py_INCREF(name);
    return name;
}

static PyObject *lock_torn(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((name_lock *)self)->torn);
}

static PyObject *lock_shared(PyObject *self, void *unused)
{
    (void)unused;
    name_lock *l = (name_lock *)self;
    PyObject *readers = l->readers ? l->readers : self;
    Py_INCREF(readers);
    return readers;
}

static PyObject *lock_repr(PyObject *self)
{
    const name_lock *l = (name_lock *)self;
    return PyUnicode_FromFormat("<ndpool.NameLock %R%s>", l->name, l->readers ? "" : " shared");
}

/* ---- life */

static void lock_dealloc(PyObject *self)
{
    name_lock *l = (name_lock *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(l->readers);
    Py_XDECREF(l->name);
    unref(l->pool);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Takes over readers, which is NULL for the readers' side itself, also if it fails. */
static PyObject *side_new(pool_object *po, PyObject *name, ndpool_name_lock where, PyObject *readers)
{
    name_lock *l = po->st->lock_type ? PyObject_New(name_lock, po->st->lock_type) : NULL;
    if (!l) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "ndpool._core is gone");
        Py_XDECREF(readers);
        return NULL;
    }
    ref(po);
    Py_INCREF(name);
    l->pool = po;
    l->name = name;
    l->where = where;
    l->readers = readers;
    l->torn = false;
    return (PyObject *)l;
}

PyObject *pool_lock_name(PyObject *self, PyObject *name)
{
    pool_object *po = (pool_object *)self;
    const char *path = path_text(po->st, name);
    if (!path)
        return NULL;
    ndpool_name_lock where;
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = ndpool_lock_find(po->p, path, &where);
    Py_END_ALLOW_THREADS
    if (status != NDPOOL_OK)
        return raise_last(po->st);
    PyObject *readers = side_new(po, name, where, NULL);
    return readers ? side_new(po, name, where, readers) : NULL;
}

/* ---- type */

#define FUNCTION(f) ((PyCFunction)(void (*)(void))(f))

static PyMethodDef lock_methods[] = {
    {"acquire", FUNCTION(lock_acquire), METH_VARARGS | METH_KEYWORDS,
     "acquire($self, /, timeout=None)\n--\n\n"
     "Waits for the lock, for ever or so many seconds, and tells whether it got it. Ctrl-C ends the wait.\n\n"
     "Raises RuntimeError if this thread has the lock already and would wait for itself for ever, NoNameError if the\n"
     "name is gone."},
    {"release", lock_release, METH_NOARGS,
     "release($self, /)\n--\n\nLets go. Raises NotLockedError if this process does not have it."},
    {"__enter__", lock_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nWaits for the lock."},
    {"__exit__", lock_release, METH_VARARGS, "__exit__($self, kind, value, trace, /)\n--\n\nLets go."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lock_getset[] = {
    {"name", lock_name, NULL, "The name that it is the lock of.", NULL},
    {"torn", lock_torn, NULL,
     "Whether a writer died within and none has let go since, as it was when this object last got the lock: the data\n"
     "may be half-written.",
     NULL},
    {"shared", lock_shared, NULL, "The readers' side, with the same methods.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_getset, lock_getset},
    {Py_tp_doc,
     "The lock of a name, for data that is updated: for one writer, or, by shared, for any number of readers.\n\n"
     "It belongs to the process, and any of its threads may let go; threads exclude each other as processes do. It\n"
     "guards the data only: names are published and looked up without it. If a writer dies, the next one gets it and\n"
     "is told: torn. A waiting writer keeps new readers out. A removed name's lock ends with it: who waits gets\n"
     "NoNameError.\n\n"
     "A forked child does not have its parent's locks."},
    {0, NULL},
};

PyType_Spec lock_spec = {
    .name = "ndpool._core.NameLock",
    .basicsize = sizeof(name_lock),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lock_slots,
};
