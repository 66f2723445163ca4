/* module: cistern._cistern, the C half of the Python package. See README.md. */
#include "libclient/python/binding.h"
#include "libclient/python/failure.h"
#include "libclient/python/keys.h"
#include "libclient/python/pinned.h"
#include "libclient/python/slots.h"
#include "libclient/python/tensor.h"
#include "libclient/python/transit.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **out_type)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL) {
        return -1;
    }
    *out_type = (PyTypeObject *)type; /* the state's reference */
    return PyModule_AddType(module, *out_type);
}

static int fill(PyObject *module)
{
    struct failure_state *state = PyModule_GetState(module);
    PyObject *errors = PyImport_ImportModule("cistern._errors");
    if (errors == NULL) {
        return -1;
    }
    state->error_of = PyObject_GetAttrString(errors, "error_of");
    Py_DECREF(errors);
    if (state->error_of == NULL || add_type(module, binding_spec(), &state->handle) != 0 ||
        add_type(module, transit_spec(), &state->device) != 0 ||
        add_type(module, keys_spec(), &state->keys) != 0 ||
        add_type(module, pinned_spec(), &state->blocks) != 0 ||
        add_type(module, slots_spec(), &state->slot) != 0 ||
        add_type(module, tensor_spec(), &state->tensor) != 0) {
        return -1;
    }
    return 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    const struct failure_state *state = PyModule_GetState(module);
    Py_VISIT(state->error_of);
    Py_VISIT(state->handle);
    Py_VISIT(state->device);
    Py_VISIT(state->keys);
    Py_VISIT(state->blocks);
    Py_VISIT(state->slot);
    Py_VISIT(state->tensor);
    return 0;
}

static int clear(PyObject *module)
{
    struct failure_state *state = PyModule_GetState(module);
    Py_CLEAR(state->error_of);
    Py_CLEAR(state->handle);
    Py_CLEAR(state->device);
    Py_CLEAR(state->keys);
    Py_CLEAR(state->blocks);
    Py_CLEAR(state->slot);
    Py_CLEAR(state->tensor);
    return 0;
}

static PyObject *describe(PyObject *module, PyObject *status)
{
    (void)module;
    const long number = PyLong_AsLong(status);
    if (number == -1 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    return Py_BuildValue("(sss)", cistern_status_name((int)number),
        cistern_status_meaning((int)number), cistern_status_advice((int)number));
}

static PyObject *checksum(PyObject *module, PyObject *data)
{
    (void)module;
    Py_buffer buffer;
    XXH128_hash_t hash;
    XXH128_canonical_t bytes;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) != 0) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS hash = XXH3_128bits(buffer.buf, (size_t)buffer.len);
    Py_END_ALLOW_THREADS PyBuffer_Release(&buffer);
    XXH128_canonicalFromHash(&bytes, hash);
    return PyBytes_FromStringAndSize((const char *)bytes.digest, sizeof bytes.digest);
}

PyMODINIT_FUNC PyInit__cistern(void); /* what Python looks for */

PyMODINIT_FUNC PyInit__cistern(void)
{
    static PyMethodDef functions[] = {
        {"describe", describe, METH_O, "describe(status) -> (name, meaning, advice)"},
        {"checksum", checksum, METH_O, "checksum(data) -> XXH3-128 of it, 16 bytes"},
        {NULL, NULL, 0, NULL},
    };
    static PyModuleDef_Slot slots[] = {
        {Py_mod_exec, fill},
        {0, NULL},
    };
    static struct PyModuleDef module = {
        .m_base = PyModuleDef_HEAD_INIT,
        .m_name = "cistern._cistern",
        .m_doc = "libcistern for Python; use it through `import cistern`.",
        .m_size = sizeof(struct failure_state),
        .m_methods = functions,
        .m_slots = slots,
        .m_traverse = traverse,
        .m_clear = clear,
    };
    return PyModuleDef_Init(&module);
}
