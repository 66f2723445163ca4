/* failure: see failure.h. */
#include "libclient/python/failure.h"

#include <cistern.h>

struct failure_state *failure_state_of(PyObject *object)
{
    return PyType_GetModuleState(Py_TYPE(object));
}

PyObject *failure_raise(PyObject *object, int status)
{
    PyObject *error = PyObject_CallFunction(failure_state_of(object)->error_of, "issss", status,
        cistern_status_name(status), cistern_status_meaning(status), cistern_status_advice(status),
        cistern_why());
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}
