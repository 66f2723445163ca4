/* binding: cistern._cistern.Handle, a cistern_t as Python sees it; cistern.Client is built on it.
 *
 * Methods take positional arguments and statuses; names, defaults and texts are Client's. What may
 * wait, and what copies or hashes, runs without Python's lock; match, acquire and release keep it,
 * because they take less time than giving it away may cost. A call is a user of the anchor, so
 * close() in another thread does not end it.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_BINDING_H
#define CISTERN_LIBCLIENT_PYTHON_BINDING_H

#include "libclient/python/anchor.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct binding {
    PyObject ob_base;
    struct anchor *anchor; /* NULL: closed */
    uint64_t block_bytes; /* of the namespace */
};

/* For the length of a call: the anchor, with one user more. Returns NULL after raising if the
 * client is closed. */
struct anchor *binding_enter(PyObject *handle);

/* The end of such a call: its answer as an int, or the exception of a status below 0. */
PyObject *binding_answer(PyObject *handle, struct anchor *anchor, int status);

PyType_Spec *binding_spec(void);

/* Methods: see binding_methods() for what each takes. */
PyObject *binding_keys(PyObject *handle, PyObject *arguments);
PyObject *binding_keys_from_hashes(PyObject *handle, PyObject *arguments);
PyObject *binding_match(PyObject *handle, PyObject *keys);
PyObject *binding_acquire(PyObject *handle, PyObject *keys);
PyObject *binding_get(PyObject *handle, PyObject *key);
PyObject *binding_fetch(PyObject *handle, PyObject *arguments);
PyObject *binding_fetch_layers(PyObject *handle, PyObject *arguments);
PyObject *binding_prefetch(PyObject *handle, PyObject *keys);
PyObject *binding_put(PyObject *handle, PyObject *arguments);
PyObject *binding_reserve(PyObject *handle, PyObject *arguments);
PyObject *binding_flush(PyObject *handle, PyObject *timeout);
PyObject *binding_claim(PyObject *handle, PyObject *key);
PyObject *binding_unclaim(PyObject *handle, PyObject *key);
PyObject *binding_wait(PyObject *handle, PyObject *arguments);
PyObject *binding_wait_async(PyObject *handle, PyObject *arguments);
PyObject *binding_fetch_async(PyObject *handle, PyObject *arguments);
PyObject *binding_fileno(PyObject *handle, PyObject *nothing);
PyObject *binding_drain(PyObject *handle, PyObject *nothing);
PyObject *binding_stats(PyObject *handle, PyObject *nothing);

#endif
