/* argument: what Python hands over, as the library wants it. Each raises and returns false, or
 * a count of 0, for what is none. */
#ifndef CISTERN_LIBCLIENT_PYTHON_ARGUMENT_H
#define CISTERN_LIBCLIENT_PYTHON_ARGUMENT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cistern.h>

#include <stdbool.h>

/* Keys one behind the other, in anything with a buffer; the caller releases it. */
struct argument_keys {
    Py_buffer buffer;
    const struct cistern_key *first;
    size_t count; /* 1 or more */
};

bool argument_take_keys(PyObject *object, struct argument_keys *out_keys);

/* One key of 32 bytes, copied. */
bool argument_key(PyObject *object, struct cistern_key *out_key);

/* The same, or None: `*out_pointer` is NULL, or `room`. */
bool argument_parent(
    PyObject *object, struct cistern_key *room, const struct cistern_key **out_pointer);

/* Token ids from 0 to 4294967295, from a buffer of 4- or 8-byte integers. The caller gives the
 * array back to PyMem_Free(). Returns NULL after raising. */
uint32_t *argument_tokens(PyObject *object, size_t *out_count);

#endif
