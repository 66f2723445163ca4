/* failure: what the module knows of itself, and how a status becomes a Python exception.
 *
 * Called by every file that Python calls. Statuses above 0 are answers and never come here.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_FAILURE_H
#define CISTERN_LIBCLIENT_PYTHON_FAILURE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The module's own, one for each interpreter that imports it. */
struct failure_state {
    PyObject *error_of; /* cistern._errors.error_of */
    PyTypeObject *handle;
    PyTypeObject *device;
    PyTypeObject *keys;
    PyTypeObject *blocks;
    PyTypeObject *slot;
    PyTypeObject *tensor;
};

/* The state, from an object of one of the module's own types (none of which has subclasses). */
struct failure_state *failure_state_of(PyObject *object);

/* Raise the exception of a status below 0 of this thread's last call. Returns NULL. */
PyObject *failure_raise(PyObject *object, int status);

#endif
