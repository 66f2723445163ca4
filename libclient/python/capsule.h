/* capsule: a tensor as DLPack hands it from library to library.
 *
 * A consumer may write to what it takes: torch has no read-only tensors, and an old capsule cannot
 * even say so. So a block's pages are mapped once more, read-only, for each capsule; the deleter,
 * in whatever thread, unmaps them and looks away.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_CAPSULE_H
#define CISTERN_LIBCLIENT_PYTHON_CAPSULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Tensor.__dlpack__ and Tensor.__dlpack_device__. */
PyObject *capsule_make(PyObject *tensor, PyObject *arguments, PyObject *words);
PyObject *capsule_device(PyObject *tensor, PyObject *nothing);

#endif
