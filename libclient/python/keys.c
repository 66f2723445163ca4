/* keys: see keys.h. */
#include "libclient/python/keys.h"

#include "libclient/python/argument.h"

#include <string.h>

struct keys {
    PyObject ob_base;
    Py_ssize_t count;
    struct cistern_key *keys; /* PyMem's */
};

static Py_ssize_t count_of(PyObject *self)
{
    return ((const struct keys *)self)->count;
}

struct cistern_key *keys_first(PyObject *keys)
{
    return ((struct keys *)keys)->keys;
}

PyObject *keys_make(PyTypeObject *type, Py_ssize_t count)
{
    struct cistern_key *room = PyMem_Malloc((size_t)(count + 1) * sizeof *room);
    if (room == NULL) {
        return PyErr_NoMemory();
    }
    struct keys *self = (struct keys *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        PyMem_Free(room);
        return NULL;
    }
    self->count = count;
    self->keys = room;
    return (PyObject *)self;
}

static PyObject *copy_of(PyTypeObject *type, const struct cistern_key *from, Py_ssize_t count)
{
    PyObject *copy = keys_make(type, count);
    if (copy != NULL) {
        memcpy(keys_first(copy), from, (size_t)count * sizeof *from);
    }
    return copy;
}

static PyObject *new_keys(PyTypeObject *type, PyObject *arguments, PyObject *words)
{
    static char *names[] = {"data", NULL};
    Py_buffer data;
    if (!PyArg_ParseTupleAndKeywords(arguments, words, "y*:Keys", names, &data)) {
        return NULL;
    }
    PyObject *self = NULL;
    if (data.len % (Py_ssize_t)sizeof(struct cistern_key) != 0) {
        PyErr_Format(PyExc_ValueError, "%zd bytes are no keys of 32 bytes each", data.len);
    } else {
        self = copy_of(type, data.buf, data.len / (Py_ssize_t)sizeof(struct cistern_key));
    }
    PyBuffer_Release(&data);
    return self;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(keys_first(self));
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *item(PyObject *self, Py_ssize_t index)
{
    if (index < 0 || index >= count_of(self)) {
        PyErr_SetString(PyExc_IndexError, "there are not that many keys");
        return NULL;
    }
    return PyBytes_FromStringAndSize(
        (const char *)&keys_first(self)[index], (Py_ssize_t)sizeof(struct cistern_key));
}

static PyObject *slice(PyObject *self, PyObject *which)
{
    Py_ssize_t start;
    Py_ssize_t stop;
    Py_ssize_t step;
    if (PySlice_Unpack(which, &start, &stop, &step) != 0) {
        return NULL;
    }
    const Py_ssize_t count = PySlice_AdjustIndices(count_of(self), &start, &stop, step);
    PyObject *part = keys_make(Py_TYPE(self), count);
    for (Py_ssize_t i = 0; part != NULL && i < count; i++) {
        keys_first(part)[i] = keys_first(self)[start + i * step];
    }
    return part;
}

static PyObject *subscript(PyObject *self, PyObject *which)
{
    if (PySlice_Check(which)) {
        return slice(self, which);
    }
    Py_ssize_t index = PyNumber_AsSsize_t(which, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    return item(self, index < 0 ? index + count_of(self) : index);
}

static PyObject *concat(PyObject *self, PyObject *other)
{
    struct argument_keys more;
    if (!argument_take_keys(other, &more)) {
        return NULL;
    }
    const Py_ssize_t count = count_of(self);
    PyObject *both = keys_make(Py_TYPE(self), count + (Py_ssize_t)more.count);
    if (both != NULL) {
        memcpy(keys_first(both), keys_first(self), (size_t)count * sizeof *more.first);
        memcpy(keys_first(both) + count, more.first, more.count * sizeof *more.first);
    }
    PyBuffer_Release(&more.buffer);
    return both;
}

static PyObject *compare(PyObject *self, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || Py_TYPE(other) != Py_TYPE(self)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const bool equal = count_of(self) == count_of(other) &&
                       memcmp(keys_first(self), keys_first(other),
                           (size_t)count_of(self) * sizeof(struct cistern_key)) == 0;
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

static int get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, self, keys_first(self),
        count_of(self) * (Py_ssize_t)sizeof(struct cistern_key), 1, flags);
}

PyType_Spec *keys_spec(void)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, "Keys(data)\n--\n\n"
                    "Names of blocks, 32 bytes each, first block first: a sequence of bytes.\n\n"
                    "Slices are Keys; the buffer (bytes(keys), memoryview(keys)) is all of them, "
                    "one behind\nthe other. Immutable, and compared by value."},
        {Py_tp_new, new_keys},
        {Py_tp_dealloc, dealloc},
        {Py_sq_length, count_of},
        {Py_sq_item, item},
        {Py_sq_concat, concat},
        {Py_mp_length, count_of},
        {Py_mp_subscript, subscript},
        {Py_tp_richcompare, compare},
        {Py_tp_hash, PyObject_HashNotImplemented},
        {Py_bf_getbuffer, get_buffer},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern.Keys",
        .basicsize = sizeof(struct keys),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots};
    return &spec;
}
