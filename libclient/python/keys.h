/* keys: cistern.Keys, the names of a prefix's blocks in one object: 512 blocks cost one, not 512.
 *
 * It is a sequence of `bytes` of 32, slices are Keys, and its buffer is all of them, one behind the
 * other. Immutable.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_KEYS_H
#define CISTERN_LIBCLIENT_PYTHON_KEYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cistern.h>

/* Room for `count` keys, to be filled before anybody sees it. `type` is the module's. */
PyObject *keys_make(PyTypeObject *type, Py_ssize_t count);

struct cistern_key *keys_first(PyObject *keys);

PyType_Spec *keys_spec(void);

#endif
