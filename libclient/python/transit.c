/* transit: see transit.h. */
#include "libclient/python/transit.h"

#include "libclient/python/binding.h"
#include "libclient/python/failure.h"
#include "libclient/python/pieces.h"

static PyObject *new_device(PyTypeObject *type, PyObject *arguments, PyObject *words)
{
    (void)words;
    PyObject *handle;
    const char *which;
    if (!PyArg_ParseTuple(arguments, "Oz:Device", &handle, &which)) {
        return NULL;
    }
    const struct failure_state *state = PyType_GetModuleState(type);
    if (!Py_IS_TYPE(handle, state->handle)) {
        PyErr_SetString(PyExc_TypeError, "Device() takes a Handle");
        return NULL;
    }
    PyObject *object = PyType_GenericAlloc(type, 0);
    struct device *self = (struct device *)object;
    struct anchor *anchor = object == NULL ? NULL : binding_enter(handle);
    if (anchor == NULL) {
        Py_XDECREF(object);
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status = cistern_device_open(anchor->handle, which, &self->device);
    Py_END_ALLOW_THREADS if (status < 0)
    {
        self->device = NULL;
        anchor_drop(anchor);
        Py_DECREF(object);
        return failure_raise(handle, status);
    }
    self->anchor = anchor;
    self->handle = Py_NewRef(handle);
    return object;
}

static void let_go(struct device *self)
{
    cistern_device_t *device = self->device;
    struct anchor *anchor = self->anchor;
    self->device = NULL;
    self->anchor = NULL;
    if (anchor != NULL) {
        Py_BEGIN_ALLOW_THREADS cistern_device_close(&device);
        anchor_drop(anchor);
        Py_END_ALLOW_THREADS
    }
}

static void dealloc(PyObject *object)
{
    struct device *self = (struct device *)object;
    PyTypeObject *type = Py_TYPE(object);
    let_go(self);
    Py_XDECREF(self->handle);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *close_device(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    let_go((struct device *)object);
    Py_RETURN_NONE;
}

/* Is it open? Raises if not. */
static bool enter(const struct device *self)
{
    if (self->device == NULL) {
        PyErr_SetString(PyExc_ValueError, "the device is closed");
    }
    return self->device != NULL;
}

/* What a transfer came to: how many blocks are under way, or the exception of its status. */
static PyObject *answer(const struct device *self, int status, size_t count)
{
    return status < 0 ? failure_raise(self->handle, status)
                      : PyLong_FromSize_t(status == CISTERN_OK ? count : 0);
}

/* How many views at the start are exactly as long as their pieces. */
static size_t fitting(
    const struct cistern_view *views, size_t count, const struct pieces_argument *argument)
{
    size_t i = 0;
    while (i < count && pieces_bytes(argument->first + i * argument->each, argument->each,
                            views[i].bytes) == views[i].bytes) {
        i++;
    }
    return i;
}

static int start_read(const struct device *self, const struct pieces_argument *argument,
    struct cistern_view *views, void *stream, size_t *out_count)
{
    cistern_t *cache = self->anchor->handle;
    size_t got = 0;
    int status = cistern_acquire(cache, argument->keys.first, argument->keys.count, views, &got);
    if (status != CISTERN_OK) {
        return status;
    }
    const size_t count = fitting(views, got, argument);
    if (count < got) {
        (void)cistern_release(cache, views + count, got - count);
    }
    if (count > 0) {
        status = cistern_device_read(
            self->device, views, count, argument->first, argument->each, stream);
        if (status != CISTERN_OK) {
            (void)cistern_release(cache, views, count);
        }
    }
    *out_count = count;
    return status;
}

static PyObject *read_blocks(PyObject *object, PyObject *arguments)
{
    struct device *self = (struct device *)object;
    PyObject *keys;
    PyObject *pieces;
    Py_ssize_t each;
    unsigned long long stream;
    struct pieces_argument argument;
    if (!PyArg_ParseTuple(arguments, "OOnK:read", &keys, &pieces, &each, &stream) || !enter(self) ||
        !pieces_take(keys, pieces, each, &argument)) {
        return NULL;
    }
    PyObject *result = NULL;
    struct cistern_view *views = PyMem_Malloc(argument.keys.count * sizeof *views);
    if (views == NULL) {
        result = PyErr_NoMemory();
    } else {
        size_t count = 0;
        int status;
        Py_BEGIN_ALLOW_THREADS status =
            start_read(self, &argument, views, (void *)(uintptr_t)stream, &count);
        Py_END_ALLOW_THREADS result = answer(self, status, count);
    }
    PyMem_Free(views);
    pieces_release(&argument);
    return result;
}

/* One batch of slots, filled in the order of the stream. Hot keys are written again, which the
 * sidecar notices: the first writer wins. */
static int start_write(const struct device *self, const struct pieces_argument *argument,
    size_t done, const struct cistern_key *parent, int64_t timeout_ns, void *stream,
    size_t *out_count)
{
    cistern_t *cache = self->anchor->handle;
    struct cistern_slot slots[PIECES_BLOCKS];
    const size_t left = argument->keys.count - done;
    const struct cistern_piece *pieces = argument->first + done * argument->each;
    size_t got = 0;
    int status = cistern_reserve(
        cache, left < PIECES_BLOCKS ? left : PIECES_BLOCKS, timeout_ns, slots, &got);
    if (status != CISTERN_OK) {
        return status;
    }
    for (size_t i = 0; i < got && status == CISTERN_OK; i++) {
        const uint64_t bytes =
            pieces_bytes(pieces + i * argument->each, argument->each, slots[i].bytes);
        status = bytes == 0 ? CISTERN_TOO_LARGE : CISTERN_OK;
    }
    if (status == CISTERN_OK) {
        status = cistern_device_write(self->device, slots, argument->keys.first + done, parent, got,
            pieces, argument->each, stream);
    }
    for (size_t i = 0; i < got && status != CISTERN_OK; i++) {
        (void)cistern_abort(cache, &slots[i]);
    }
    *out_count = got;
    return status;
}

static int write_all(const struct device *self, const struct pieces_argument *argument,
    const struct cistern_key *parent, int64_t timeout_ns, void *stream, size_t *out_count)
{
    size_t done = 0;
    int status = CISTERN_OK;
    while (done < argument->keys.count && status == CISTERN_OK) {
        size_t count = 0;
        status = start_write(self, argument, done,
            done == 0 ? parent : &argument->keys.first[done - 1], timeout_ns, stream, &count);
        done += status == CISTERN_OK ? count : 0;
    }
    *out_count = done;
    return done == 0 ? status : CISTERN_OK;
}

static PyObject *write_blocks(PyObject *object, PyObject *arguments)
{
    struct device *self = (struct device *)object;
    PyObject *keys;
    PyObject *parent_object;
    PyObject *pieces;
    Py_ssize_t each;
    long long timeout_ns;
    unsigned long long stream;
    struct cistern_key room;
    const struct cistern_key *parent;
    struct pieces_argument argument;
    if (!PyArg_ParseTuple(arguments, "OOOnLK:write", &keys, &parent_object, &pieces, &each,
            &timeout_ns, &stream) ||
        !enter(self) || !argument_parent(parent_object, &room, &parent) ||
        !pieces_take(keys, pieces, each, &argument)) {
        return NULL;
    }
    size_t count = 0;
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        write_all(self, &argument, parent, timeout_ns, (void *)(uintptr_t)stream, &count);
    Py_END_ALLOW_THREADS PyObject *result = answer(self, status, count);
    pieces_release(&argument);
    return result;
}

static PyObject *drain(PyObject *object, PyObject *timeout)
{
    struct device *self = (struct device *)object;
    const long long timeout_ns = PyLong_AsLongLong(timeout);
    if ((timeout_ns == -1 && PyErr_Occurred() != NULL) || !enter(self)) {
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status = cistern_device_drain(self->device, timeout_ns);
    Py_END_ALLOW_THREADS return answer(self, status, 0);
}

static PyObject *get_about(PyObject *object, void *nothing)
{
    (void)nothing;
    const struct device *self = (const struct device *)object;
    return enter(self) ? PyUnicode_FromString(cistern_device_about(self->device)) : NULL;
}

PyType_Spec *transit_spec(void)
{
    static PyMethodDef methods[] = {
        {"read", read_blocks, METH_VARARGS, "read(keys, pieces, each, stream) -> blocks under way"},
        {"write", write_blocks, METH_VARARGS,
            "write(keys, parent or None, pieces, each, timeout_ns, stream) -> blocks under way"},
        {"drain", drain, METH_O, "drain(timeout_ns)"},
        {"close", close_device, METH_NOARGS, "close()"},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef attributes[] = {
        {"about", get_about, NULL, "which device it is, and whether the pool is page-locked", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "A GPU of this process, for the adapters of cistern.engines."},
        {Py_tp_new, new_device},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, methods},
        {Py_tp_getset, attributes},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern._cistern.Device",
        .basicsize = sizeof(struct device),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots};
    return &spec;
}
