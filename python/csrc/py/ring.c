/*
 * What the ends of streams and queues have in common: threads inside of one while another closes it, and waits.
 *
 * Any thread may use an end and close it. inside counts the threads within, and 1 for the end being open; who makes it 0
 * ends the core's object, so that nobody closes it under another thread. A thread that waits inside sees that it was
 * closed when it is next asked whether to go on. A Writer and a Reader have a turn besides: one thread at a time.
 *
 * A forked child has the turn and the count as they were, perhaps with threads that it does not have. It takes no turn, since
 * the core refuses it writers and readers; of a queue that it closes then, the hold may stay until the child ends.
 */
#include "py.h"

static const int64_t LOOK_NS = 50000000; /* between looks at signals */

int timeout_ns(PyObject *given, int64_t *wait)
{
    *wait = -1;
    if (given == Py_None)
        return 0;
    double s = PyFloat_AsDouble(given);
    if (s == -1 && PyErr_Occurred())
        return -1;
    return seconds_to_ns(s, wait);
}

/* ---- life */

ring_end *end_new(pool_object *po, PyTypeObject *type, void *core, void (*finish)(void *), bool turns)
{
    PyThread_type_lock turn = turns ? PyThread_allocate_lock() : NULL;
    ring_end *e = (type && (turn || !turns)) ? PyObject_New(ring_end, type) : NULL;
    if (!e) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "ndpool._core is gone, or there is no memory");
        if (turn)
            PyThread_free_lock(turn);
        finish(core);
        return NULL;
    }
    ref(po);
    e->pool = po;
    e->core = core;
    e->finish = finish;
    e->process = ndpool_self(po->p);
    e->turn = turn;
    atomic_init(&e->inside, 1);
    atomic_init(&e->closed, false);
    return e;
}

static bool forked(const ring_end *e) { return ndpool_self(e->pool->p) != e->process; }

/* Ends the core's object, which takes the segment's lock. */
static void end_core(ring_end *e)
{
    void *core = e->core;
    e->core = NULL;
    Py_BEGIN_ALLOW_THREADS
    e->finish(core);
    Py_END_ALLOW_THREADS
}

static void step_out(ring_end *e)
{
    if (atomic_fetch_sub(&e->inside, 1) == 1)
        end_core(e);
}

void end_close(ring_end *e)
{
    if (!atomic_exchange(&e->closed, true))
        step_out(e);
}

/* No thread is inside: each would have a reference. */
void end_dealloc(PyObject *self)
{
    ring_end *e = (ring_end *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (e->core)
        end_core(e);
    if (e->turn && !forked(e))
        PyThread_free_lock(e->turn);
    unref(e->pool);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* ---- inside */

static void raise_ended(ring_end *e, const char *verb)
{
    raise_as(e->pool->st, NDPOOL_ERR_CLOSED, "%s: it was closed", verb);
}

/* Counts this thread as inside, unless the end was closed. */
static bool step_in(ring_end *e)
{
    int n = atomic_load(&e->inside);
    while (n > 0 && !atomic_compare_exchange_weak(&e->inside, &n, n + 1))
        ;
    if (n == 0 || !atomic_load(&e->closed))
        return n > 0;
    step_out(e);
    return false;
}

/* Waits while another thread is inside. Gives what is left of the time: 0, 1 if none is, or -1 with an exception. */
static int await_turn(ring_end *e, int64_t *wait)
{
    int64_t begin = now_ns();
    for (;;) {
        int64_t left = *wait < 0 ? LOOK_NS : *wait - (now_ns() - begin);
        PyLockStatus got;
        if (left <= 0)
            return 1;
        Py_BEGIN_ALLOW_THREADS
        got = PyThread_acquire_lock_timed(e->turn, (left < LOOK_NS ? left : LOOK_NS) / 1000, 0);
        Py_END_ALLOW_THREADS
        if (got == PY_LOCK_ACQUIRED) {
            if (*wait > 0)
                *wait = left - 1;
            return 0;
        }
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

static int take_turn(ring_end *e, const char *verb, int64_t *wait)
{
    int err = PyThread_acquire_lock(e->turn, NOWAIT_LOCK) ? 0 : await_turn(e, wait);
    if (err || !atomic_load(&e->closed))
        return err;
    PyThread_release_lock(e->turn);
    raise_ended(e, verb);
    return -1;
}

int end_enter(ring_end *e, const char *verb, int64_t *wait)
{
    if (!step_in(e)) {
        raise_ended(e, verb);
        return -1;
    }
    int err = e->turn && !forked(e) ? take_turn(e, verb, wait) : 0;
    if (err)
        step_out(e);
    return err;
}

void end_leave(ring_end *e)
{
    if (e->turn && !forked(e))
        PyThread_release_lock(e->turn);
    step_out(e);
}

/* ---- waiting */

void wait_begin(ring_wait *w, ring_end *e)
{
    w->end = e;
    w->failed = false;
    w->thread = PyEval_SaveThread();
}

int wait_end(ring_wait *w, int status, const char *verb)
{
    PyEval_RestoreThread(w->thread);
    if (status == NDPOOL_OK)
        return 0;
    if (w->failed)
        return -1;
    if (status == NDPOOL_ERR_TIMEOUT && atomic_load(&w->end->closed))
        raise_ended(w->end, verb);
    else
        raise_last(w->end->pool->st);
    return -1;
}

bool wait_go_on(void *arg)
{
    ring_wait *w = arg;
    PyEval_RestoreThread(w->thread);
    w->failed = PyErr_CheckSignals() < 0;
    w->thread = PyEval_SaveThread();
    return !w->failed && !atomic_load(&w->end->closed);
}

/* ---- what they show */

PyObject *end_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(atomic_load(&((ring_end *)self)->closed));
}

PyObject *end_pool(PyObject *self, void *unused)
{
    (void)unused;
    PyObject *pool = (PyObject *)((ring_end *)self)->pool;
    Py_INCREF(pool);
    return pool;
}
