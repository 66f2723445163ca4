/* transit: cistern._cistern.Device, a GPU of this process, and blocks on their way to and from it.
 *
 * What the adapters of cistern.engines use where the memory is a GPU's. Nothing of it waits
 * for the GPU but drain() and close().
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_TRANSIT_H
#define CISTERN_LIBCLIENT_PYTHON_TRANSIT_H

#include "libclient/python/anchor.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cistern_device.h>

struct device {
    PyObject ob_base;
    PyObject *handle; /* of the blocks: whose exceptions are raised */
    struct anchor *anchor; /* used for as long as the device is open */
    cistern_device_t *device; /* NULL: closed */
};

/* Device(handle, which or None), with about, read(keys, pieces, each, stream),
 * write(keys, parent or None, pieces, each, timeout_ns, stream), drain(timeout_ns) and close(). */
PyType_Spec *transit_spec(void);

#endif
