/* tensor: see tensor.h. */
#include "libclient/python/tensor.h"

#include "libclient/python/capsule.h"

static struct tensor *make(PyTypeObject *type, PyObject *owner, struct lease *lease, uint32_t index,
    char *data, const struct dtype *dtype)
{
    struct tensor *self = (struct tensor *)PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        self->owner = Py_NewRef(owner);
        self->lease = lease;
        self->index = index;
        self->data = data;
        self->dtype = dtype;
    }
    return self;
}

/* Row-major strides, and the size. Returns false if it would be more than `room` bytes. */
static bool lay_out(struct tensor *self, Py_ssize_t room)
{
    Py_ssize_t bytes = self->dtype->bytes;
    for (int i = self->ndim - 1; i >= 0; i--) {
        self->strides[i] = bytes;
        if (self->shape[i] <= 0 || bytes > room / self->shape[i]) {
            return false;
        }
        bytes *= self->shape[i];
    }
    self->bytes = bytes;
    return bytes <= room;
}

PyObject *tensor_of_block(PyTypeObject *type, PyObject *owner, struct lease *lease, uint32_t index)
{
    const bool is_slot = lease->slots != NULL;
    const void *data = is_slot ? lease->slots[index].data : lease->views[index].data;
    const uint64_t bytes = is_slot ? lease->slots[index].bytes : lease->views[index].bytes;
    struct tensor *self =
        make(type, owner, lease, index, (char *)(uintptr_t)data, dtype_find("uint8"));
    if (self != NULL) {
        self->ndim = 1;
        self->shape[0] = (Py_ssize_t)bytes;
        self->on_device = !is_slot && lease->views[index].tier == CISTERN_TIER_DEVICE;
        self->ordinal = self->on_device ? lease->anchor->ordinal : 0;
        (void)lay_out(self, (Py_ssize_t)bytes);
    }
    return (PyObject *)self;
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_DECREF(((struct tensor *)object)->owner);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* The wanted shape, of which one dimension may be -1: as much as there is. */
static bool read_shape(struct tensor *self, PyObject *wanted, Py_ssize_t room)
{
    const Py_ssize_t ndim = PyTuple_Size(wanted);
    if (ndim < 1 || ndim > TENSOR_DIMENSIONS) {
        PyErr_Format(PyExc_ValueError, "a shape has 1 to %d dimensions", TENSOR_DIMENSIONS);
        return false;
    }
    Py_ssize_t elements = room / self->dtype->bytes;
    Py_ssize_t open = -1;
    for (Py_ssize_t i = 0; i < ndim; i++) {
        self->shape[i] = PyLong_AsSsize_t(PyTuple_GetItem(wanted, i));
        if (self->shape[i] == -1 && PyErr_Occurred() != NULL) {
            return false;
        }
        if (self->shape[i] == -1 && open < 0) {
            open = i;
        } else if (self->shape[i] > 0) {
            elements /= self->shape[i];
        }
    }
    if (open >= 0) {
        self->shape[open] = elements;
    }
    self->ndim = (int)ndim;
    if (!lay_out(self, room)) {
        PyErr_Format(
            PyExc_ValueError, "no such shape of %s fits into %zd bytes", self->dtype->name, room);
        return false;
    }
    return true;
}

static PyObject *cast(PyObject *object, PyObject *arguments, PyObject *words)
{
    static char *names[] = {"dtype", "shape", "offset", NULL};
    const struct tensor *self = (const struct tensor *)object;
    const char *name;
    PyObject *wanted = NULL;
    Py_ssize_t offset = 0;
    if (!PyArg_ParseTupleAndKeywords(
            arguments, words, "s|On:cast", names, &name, &wanted, &offset)) {
        return NULL;
    }
    const struct dtype *dtype = dtype_find(name);
    if (dtype == NULL) {
        PyErr_Format(PyExc_ValueError, "no type '%s': uint8, float16, bfloat16, …", name);
        return NULL;
    }
    if (offset < 0 || offset >= self->bytes || offset % dtype->bytes != 0) {
        PyErr_Format(PyExc_ValueError, "offset %zd is not 0 to %zd in steps of %d bytes", offset,
            self->bytes - 1, dtype->bytes);
        return NULL;
    }
    PyObject *shape = wanted == NULL || wanted == Py_None ? Py_BuildValue("(n)", (Py_ssize_t)-1)
                                                          : PySequence_Tuple(wanted);
    if (shape == NULL) {
        return NULL;
    }
    struct tensor *part =
        make(Py_TYPE(object), self->owner, self->lease, self->index, self->data + offset, dtype);
    if (part != NULL) {
        part->on_device = self->on_device;
        part->ordinal = self->ordinal;
    }
    if (part != NULL && !read_shape(part, shape, self->bytes - offset)) {
        Py_DECREF(part);
        part = NULL;
    }
    Py_DECREF(shape);
    return (PyObject *)part;
}

bool tensor_look(const struct tensor *tensor)
{
    if (lease_look(tensor->lease, tensor->index)) {
        return true;
    }
    PyErr_SetString(PyExc_ValueError, tensor_is_writable(tensor)
                                          ? "the slot was committed or aborted"
                                          : "the block was released");
    return false;
}

static int get_buffer(PyObject *object, Py_buffer *view, int flags)
{
    struct tensor *self = (struct tensor *)object;
    view->obj = NULL;
    if ((flags & PyBUF_WRITABLE) != 0 && !tensor_is_writable(self)) {
        PyErr_SetString(PyExc_BufferError, "a block is never writable");
        return -1;
    }
    if (tensor_is_on_device(self)) {
        PyErr_SetString(PyExc_BufferError,
            "the block is in a GPU's memory: .torch() reads it there, client.get() copies it");
        return -1;
    }
    if (!tensor_look(self)) {
        return -1;
    }
    Py_INCREF(object);
    *view = (Py_buffer){.buf = self->data,
        .obj = object,
        .len = self->bytes,
        .itemsize = self->dtype->bytes,
        .readonly = !tensor_is_writable(self),
        .ndim = self->ndim,
        .format = (flags & PyBUF_FORMAT) != 0 ? (char *)(uintptr_t)self->dtype->format : NULL,
        .shape = (flags & PyBUF_ND) != 0 ? self->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? self->strides : NULL};
    return 0;
}

static void release_buffer(PyObject *object, Py_buffer *view)
{
    (void)view;
    const struct tensor *self = (const struct tensor *)object;
    lease_look_away(self->lease, self->index);
}

static PyObject *call(const char *module_name, const char *function, PyObject *argument)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *result = module == NULL ? NULL : PyObject_CallMethod(module, function, "O", argument);
    Py_XDECREF(module);
    return result;
}

static PyObject *to_numpy(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return call("numpy", "asarray", self);
}

static PyObject *to_torch(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return call("torch", "from_dlpack", self);
}

static PyObject *to_bytes(PyObject *self, PyObject *nothing)
{
    (void)nothing;
    return PyBytes_FromObject(self);
}

static Py_ssize_t length(PyObject *object)
{
    return ((const struct tensor *)object)->shape[0];
}

static PyObject *get_shape(PyObject *object, void *nothing)
{
    (void)nothing;
    const struct tensor *self = (const struct tensor *)object;
    PyObject *shape = PyTuple_New(self->ndim);
    for (int i = 0; shape != NULL && i < self->ndim; i++) {
        PyObject *size = PyLong_FromSsize_t(self->shape[i]);
        if (size == NULL || PyTuple_SetItem(shape, i, size) != 0) {
            Py_DECREF(shape);
            return NULL;
        }
    }
    return shape;
}

static PyObject *get_dtype(PyObject *object, void *nothing)
{
    (void)nothing;
    return PyUnicode_FromString(((const struct tensor *)object)->dtype->name);
}

static PyObject *get_bytes(PyObject *object, void *nothing)
{
    (void)nothing;
    return PyLong_FromSsize_t(((const struct tensor *)object)->bytes);
}

static PyObject *get_readonly(PyObject *object, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(!tensor_is_writable((const struct tensor *)object));
}

static PyObject *get_live(PyObject *object, void *nothing)
{
    (void)nothing;
    const struct tensor *self = (const struct tensor *)object;
    return PyBool_FromLong(lease_is_live(self->lease, self->index));
}

static PyObject *get_on_device(PyObject *object, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(tensor_is_on_device((const struct tensor *)object));
}

PyType_Spec *tensor_spec(void)
{
    static PyMethodDef methods[] = {
        {"cast", (PyCFunction)(void (*)(void))cast, METH_VARARGS | METH_KEYWORDS,
            "cast(dtype, shape=None, offset=0)\n--\n\n"
            "The same bytes as another type and shape, row-major, from `offset` bytes on.\n\n"
            "dtype   'float16', 'bfloat16', 'int8', 'float8_e4m3fn', … as NumPy and torch say it\n"
            "shape   1 to 8 dimensions, one of which may be -1: what is left; None: (-1,)\n"
            "Raises ValueError if that does not fit. Copies nothing."},
        {"numpy", to_numpy, METH_NOARGS,
            "numpy()\n--\n\n"
            "A NumPy array over the same bytes; of a block it cannot be written to. The block "
            "stays\npinned as long as the array, or a view of it, lives. bfloat16 comes as uint16 "
            "and float8 as\nuint8, as NumPy has no such types."},
        {"torch", to_torch, METH_NOARGS,
            "torch()\n--\n\n"
            "A torch tensor over the same bytes. The block stays pinned as long as the tensor "
            "lives.\ntorch knows no read-only tensors: writing to one of a block ends the process "
            "(its pages are\nread-only); take .clone() of what you want to change."},
        {"tobytes", to_bytes, METH_NOARGS, "tobytes()\n--\n\nA copy of the bytes."},
        {"__dlpack__", (PyCFunction)(void (*)(void))capsule_make, METH_VARARGS | METH_KEYWORDS,
            "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\n"
            "A capsule for from_dlpack() of torch, NumPy, JAX, CuPy …"},
        {"__dlpack_device__", capsule_device, METH_NOARGS,
            "__dlpack_device__()\n--\n\n(1, 0): host memory; (2, n): GPU n of this process."},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef attributes[] = {
        {"shape", get_shape, NULL, "elements in each dimension, slowest first", NULL},
        {"dtype", get_dtype, NULL, "name of the elements' type", NULL},
        {"nbytes", get_bytes, NULL, "size in bytes", NULL},
        {"readonly", get_readonly, NULL, "True for a block, False for a slot", NULL},
        {"on_device", get_on_device, NULL, "True for a block in the client's GPU's memory", NULL},
        {"live", get_live, NULL, "False after the block's release, or the slot's commit", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "A typed look at the bytes of one block or slot, where they lie.\n\n"
                    "It has the buffer protocol and DLPack. A Tensor pins nothing itself; what is "
                    "exported\nfrom it (memoryview, array, tensor) does until it is gone."},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, attributes},
        {Py_sq_length, length},
        {Py_bf_getbuffer, get_buffer},
        {Py_bf_releasebuffer, release_buffer},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern.Tensor",
        .basicsize = sizeof(struct tensor),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots};
    return &spec;
}
