/* tensor: cistern.Tensor, a typed look at the bytes of one block or slot, where they lie.
 *
 * A Tensor itself pins nothing: what is exported from it does, until it is gone (lease.h). So a
 * variable that outlives its `with` does no harm, and an array made inside of it stays readable.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_TENSOR_H
#define CISTERN_LIBCLIENT_PYTHON_TENSOR_H

#include "libclient/python/dtype.h"
#include "libclient/python/lease.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define TENSOR_DIMENSIONS 8

struct tensor {
    PyObject ob_base;
    PyObject *owner; /* Blocks or Slot, which does not end by itself while somebody has this */
    struct lease *lease; /* the owner's; not looked at */
    uint32_t index; /* of the block or slot in it */
    char *data;
    const struct dtype *dtype;
    int ndim; /* 1 to TENSOR_DIMENSIONS */
    Py_ssize_t shape[TENSOR_DIMENSIONS];
    Py_ssize_t strides[TENSOR_DIMENSIONS]; /* bytes; the last dimension is contiguous */
    Py_ssize_t bytes;
    bool on_device; /* the data is an address of the client's GPU */
    int ordinal; /* this process's number of that; 0 for host memory */
};

/* All bytes of a block or slot, as uint8. `owner` holds the lease. */
PyObject *tensor_of_block(PyTypeObject *type, PyObject *owner, struct lease *lease, uint32_t index);

/* Slots may be written until they are committed, blocks never. */
static inline bool tensor_is_writable(const struct tensor *tensor)
{
    return tensor->lease->slots != NULL;
}

/* Is it in a GPU's memory? Then the processor cannot read it. */
static inline bool tensor_is_on_device(const struct tensor *tensor)
{
    return tensor->on_device;
}

/* Look at it, for an export. Raises and returns false if it was released or committed. */
bool tensor_look(const struct tensor *tensor);

PyType_Spec *tensor_spec(void);

#endif
