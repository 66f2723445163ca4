/* slots: see slots.h. */
#include "libclient/python/slots.h"

#include "libclient/python/argument.h"
#include "libclient/python/failure.h"
#include "libclient/python/tensor.h"

struct slot_object {
    PyObject ob_base;
    struct lease *lease;
    uint32_t index;
    bool settled; /* committed or aborted */
};

static void settle(struct slot_object *self)
{
    if (!self->settled) {
        self->settled = true;
        lease_leave(self->lease, self->index);
    }
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    struct slot_object *self = (struct slot_object *)object;
    settle(self);
    lease_let_go(self->lease);
    PyObject_Free(object);
    Py_DECREF(type);
}

PyObject *slots_make(PyTypeObject *type, struct lease *lease)
{
    PyObject *list = PyList_New((Py_ssize_t)lease->count);
    for (uint32_t i = 0; i < lease->count; i++) {
        struct slot_object *self =
            list == NULL ? NULL : (struct slot_object *)PyType_GenericAlloc(type, 0);
        if (self == NULL) {
            Py_XDECREF(list);
            list = NULL;
            lease_leave(lease, i);
            continue;
        }
        lease_hold(lease);
        self->lease = lease;
        self->index = i;
        (void)PyList_SetItem(list, (Py_ssize_t)i, (PyObject *)self);
    }
    lease_let_go(lease);
    return list;
}

static PyObject *tensor(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    const struct slot_object *self = (const struct slot_object *)object;
    if (self->settled) {
        PyErr_SetString(PyExc_ValueError, "the slot was committed or aborted");
        return NULL;
    }
    return tensor_of_block(failure_state_of(object)->tensor, object, self->lease, self->index);
}

static PyObject *commit(PyObject *object, PyObject *arguments)
{
    struct slot_object *self = (struct slot_object *)object;
    PyObject *key_object;
    PyObject *parent_object;
    Py_ssize_t bytes;
    struct cistern_key key;
    struct cistern_key room;
    const struct cistern_key *parent;
    if (!PyArg_ParseTuple(arguments, "OOn:commit", &key_object, &parent_object, &bytes) ||
        !argument_key(key_object, &key) || !argument_parent(parent_object, &room, &parent)) {
        return NULL;
    }
    if (self->settled) {
        PyErr_SetString(PyExc_ValueError, "the slot was committed or aborted");
        return NULL;
    }
    if (bytes < 1 || (uint64_t)bytes > self->lease->slots[self->index].bytes) {
        PyErr_Format(PyExc_ValueError, "%zd bytes in a slot of %llu", bytes,
            (unsigned long long)self->lease->slots[self->index].bytes);
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        lease_commit(self->lease, self->index, &key, parent, (uint64_t)bytes);
    Py_END_ALLOW_THREADS if (status == CISTERN_PENDING)
    {
        PyErr_SetString(PyExc_BufferError,
            "an array or a memoryview of the slot is left: it could change what others read");
        return NULL;
    }
    self->settled = self->settled || !lease_is_live(self->lease, self->index);
    if (status != CISTERN_OK) {
        return failure_raise(object, status);
    }
    Py_RETURN_NONE;
}

static PyObject *abort_slot(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    settle((struct slot_object *)object);
    Py_RETURN_NONE;
}

static PyObject *get_bytes(PyObject *object, void *nothing)
{
    (void)nothing;
    const struct slot_object *self = (const struct slot_object *)object;
    return PyLong_FromUnsignedLongLong(self->lease->slots[self->index].bytes);
}

PyType_Spec *slots_spec(void)
{
    static PyMethodDef methods[] = {
        {"tensor", tensor, METH_NOARGS,
            "tensor()\n--\n\nIts bytes, to be written: a Tensor of uint8."},
        {"commit", commit, METH_VARARGS,
            "commit(key, parent, nbytes)\n--\n\n"
            "Publish the first `nbytes` under `key`; the slot is over then.\n\n"
            "parent  key of the block before it in its prefix, or None\n"
            "Raises BufferError while an array, a tensor or a memoryview of the slot is left: the "
            "slot is\nstill lent then, and so it is after Busy and TooLarge. If the key is hot "
            "already, the first\nwriter has won, and the slot goes back."},
        {"abort", abort_slot, METH_NOARGS,
            "abort()\n--\n\n"
            "Give it back unused, at once or when the last array of it is gone. May be called "
            "again,\nalso after commit()."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef attributes[] = {
        {"nbytes", get_bytes, NULL, "room in bytes", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "Room for one block, lent until commit() or abort(); dropped, it is aborted."},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, attributes},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern.Slot",
        .basicsize = sizeof(struct slot_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots};
    return &spec;
}
