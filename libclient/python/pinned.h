/* pinned: cistern.Blocks, the pinned blocks at the start of a prefix. One object for all of them;
 * a Tensor is made when one is asked for. */
#ifndef CISTERN_LIBCLIENT_PYTHON_PINNED_H
#define CISTERN_LIBCLIENT_PYTHON_PINNED_H

#include "libclient/python/lease.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The lease, filled, becomes the object's; given back if there is no memory for one. */
PyObject *pinned_make(PyTypeObject *type, struct lease *lease);

PyType_Spec *pinned_spec(void);

#endif
