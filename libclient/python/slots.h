/* slots: cistern.Slot, room for one block, lent by the sidecar until it is committed or aborted. */
#ifndef CISTERN_LIBCLIENT_PYTHON_SLOTS_H
#define CISTERN_LIBCLIENT_PYTHON_SLOTS_H

#include "libclient/python/lease.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A list of Slot, one for each slot of the lease, which is theirs from here on. */
PyObject *slots_make(PyTypeObject *type, struct lease *lease);

PyType_Spec *slots_spec(void);

#endif
