/* pinned: see pinned.h. */
#include "libclient/python/pinned.h"

#include "libclient/python/failure.h"
#include "libclient/python/tensor.h"

struct pinned {
    PyObject ob_base;
    struct lease *lease;
    bool released;
};

PyObject *pinned_make(PyTypeObject *type, struct lease *lease)
{
    struct pinned *self = (struct pinned *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        lease_leave_all(lease);
        lease_let_go(lease);
        return NULL;
    }
    self->lease = lease;
    return (PyObject *)self;
}

static void let_go(struct pinned *self)
{
    if (!self->released) {
        self->released = true;
        lease_leave_all(self->lease);
    }
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct pinned *self = (struct pinned *)object;
    let_go(self);
    lease_let_go(self->lease);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *release(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    let_go((struct pinned *)object);
    Py_RETURN_NONE;
}

static PyObject *enter(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    Py_INCREF(object);
    return object;
}

static PyObject *leave(PyObject *object, PyObject *exception)
{
    return release(object, exception);
}

static Py_ssize_t length(PyObject *object)
{
    return (Py_ssize_t)((const struct pinned *)object)->lease->count;
}

static PyObject *item(PyObject *object, Py_ssize_t index)
{
    struct pinned *self = (struct pinned *)object;
    if (index < 0 || index >= length(object)) {
        PyErr_SetString(PyExc_IndexError, "that block is not among those that were hot");
        return NULL;
    }
    if (self->released) {
        PyErr_SetString(PyExc_ValueError, "the blocks were released");
        return NULL;
    }
    return tensor_of_block(failure_state_of(object)->tensor, object, self->lease, (uint32_t)index);
}

PyType_Spec *pinned_spec(void)
{
    static PyMethodDef methods[] = {
        {"release", release, METH_NOARGS,
            "release()\n--\n\n"
            "End the reading. Blocks of which an array, a tensor or a memoryview is left stay "
            "pinned until\nthat is gone. May be called again."},
        {"__enter__", enter, METH_NOARGS, NULL},
        {"__exit__", leave, METH_VARARGS, NULL},
        {NULL, NULL, 0, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "The pinned blocks at the start of a prefix: a sequence of Tensor, to be read "
                    "in place.\n\nA context manager that releases them."},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_sq_length, length},
        {Py_sq_item, item},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern.Blocks",
        .basicsize = sizeof(struct pinned),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots};
    return &spec;
}
