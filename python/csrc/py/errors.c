/* Statuses of the core become exceptions, which the Python package makes. */
#include "py.h"

static PyObject *numbers_of(const ndpool_error *e)
{
    return Py_BuildValue("{sisisisisKsKsKsKsKsK}", "status", e->status, "sys_errno", e->sys_errno, "pid", (int)e->pid,
                         "slot", (int)e->slot, "asked", (unsigned long long)e->asked, "free",
                         (unsigned long long)e->free, "largest", (unsigned long long)e->largest, "capacity",
                         (unsigned long long)e->capacity, "held", (unsigned long long)e->held, "limit",
                         (unsigned long long)e->limit);
}

/* Sets what the hook makes of the error. e is the caller's copy, since Python code may run into the core's errors
 * itself. */
static PyObject *raise_error(core_state *st, const ndpool_error *e)
{
    PyObject *message = PyUnicode_DecodeUTF8(e->message, (Py_ssize_t)strlen(e->message), "replace");
    PyObject *hook = st->error_hook;
    if (!message || !hook) {
        if (message)
            PyErr_SetObject(PyExc_RuntimeError, message);
        Py_XDECREF(message);
        return NULL;
    }
    Py_INCREF(hook);
    PyObject *name = PyUnicode_FromString(ndpool_status_name(e->status)), *numbers = numbers_of(e);
    PyObject *made = name && numbers ? PyObject_CallFunctionObjArgs(hook, name, message, numbers, NULL) : NULL;
    if (made && PyExceptionInstance_Check(made))
        PyErr_SetObject((PyObject *)Py_TYPE(made), made);
    else if (made)
        PyErr_SetObject(PyExc_RuntimeError, message);
    Py_XDECREF(made);
    Py_XDECREF(numbers);
    Py_XDECREF(name);
    Py_DECREF(message);
    Py_DECREF(hook);
    return NULL;
}

PyObject *raise_last(core_state *st)
{
    ndpool_error e = *ndpool_last_error();
    return raise_error(st, &e);
}

PyObject *raise_as(core_state *st, int status, const char *format, ...)
{
    ndpool_error e = {.status = status};
    va_list args;
    va_start(args, format);
    vsnprintf(e.message, sizeof e.message, format, args);
    va_end(args);
    return raise_error(st, &e);
}
