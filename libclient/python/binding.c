/* binding: see binding.h. Its life, and the table of its methods. */
#include "libclient/python/binding.h"

#include "libclient/python/failure.h"
#include "libclient/python/pieces.h"

struct anchor *binding_enter(PyObject *handle)
{
    struct anchor *anchor = ((struct binding *)handle)->anchor;
    if (anchor == NULL) {
        PyErr_SetString(PyExc_ValueError, "the client is closed");
        return NULL;
    }
    anchor_take(anchor);
    return anchor;
}

PyObject *binding_answer(PyObject *handle, struct anchor *anchor, int status)
{
    PyObject *answer = status < 0 ? failure_raise(handle, status) : PyLong_FromLong((long)status);
    anchor_drop(anchor);
    return answer;
}

/* The arguments of Handle(), in their order; the buffer is the caller's to release. */
static bool parse(PyObject *arguments, struct cistern_namespace *out_space,
    struct cistern_options *out_options, Py_buffer *out_secret)
{
    struct cistern_namespace *space = out_space;
    long long timeout_ns;
    PyObject *secret;
    *space = (struct cistern_namespace){.size = sizeof *space};
    *out_options = (struct cistern_options){.size = sizeof *out_options};
    *out_secret = (Py_buffer){0};
    if (!PyArg_ParseTuple(arguments, "ssssssssOIKIIIIIIIzIIIILz:Handle", &space->name,
            &space->model, &space->dtype, &space->layout, &space->rope, &space->lora,
            &space->engine, &space->tenant, &secret, &space->block_tokens, &space->block_bytes,
            &space->layers, &space->heads, &space->head_size, &space->tp_rank, &space->tp_size,
            &space->pp_rank, &space->pp_size, &out_options->socket_path, &out_options->flags,
            &out_options->threads_max, &out_options->pins_per_thread, &out_options->grants_ahead,
            &timeout_ns, &out_options->device)) {
        return false;
    }
    if (secret != Py_None && PyObject_GetBuffer(secret, out_secret, PyBUF_SIMPLE) != 0) {
        return false;
    }
    space->secret = out_secret->buf;
    space->secret_bytes = (size_t)out_secret->len;
    out_options->space = space;
    out_options->timeout_ns = timeout_ns;
    return true;
}

static PyObject *new_handle(PyTypeObject *type, PyObject *arguments, PyObject *words)
{
    (void)words;
    struct cistern_namespace space;
    struct cistern_options options;
    Py_buffer secret;
    if (!parse(arguments, &space, &options, &secret)) {
        return NULL;
    }
    struct binding *self = (struct binding *)PyType_GenericAlloc(type, 0);
    cistern_t *handle = NULL;
    int status = CISTERN_OK;
    if (self != NULL) {
        Py_BEGIN_ALLOW_THREADS status = cistern_open(&options, &handle);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&secret);
    if (self != NULL && status != CISTERN_OK) {
        (void)failure_raise((PyObject *)self, status);
        Py_DECREF(self);
        return NULL;
    }
    if (self != NULL) {
        self->block_bytes = space.block_bytes;
        self->anchor = anchor_open(handle, (options.flags & CISTERN_ISOLATED) != 0);
        if (self->anchor == NULL) {
            cistern_close(&handle);
            Py_DECREF(self);
            return PyErr_NoMemory();
        }
        Py_BEGIN_ALLOW_THREADS anchor_open_device(self->anchor);
        Py_END_ALLOW_THREADS
    }
    return (PyObject *)self;
}

/* Whoever is inside a call, and whoever looks at a block, keeps the library's handle open. */
static void let_go(PyObject *object)
{
    struct binding *self = (struct binding *)object;
    struct anchor *anchor = self->anchor;
    self->anchor = NULL;
    if (anchor != NULL) {
        Py_BEGIN_ALLOW_THREADS anchor_settle(anchor);
        anchor_drop(anchor);
        Py_END_ALLOW_THREADS
    }
}

static void dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    let_go(object);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *close_handle(PyObject *object, PyObject *nothing)
{
    (void)nothing;
    let_go(object);
    Py_RETURN_NONE;
}

static PyObject *get_closed(PyObject *object, void *nothing)
{
    (void)nothing;
    return PyBool_FromLong(((const struct binding *)object)->anchor == NULL);
}

static PyMethodDef *binding_methods(void)
{
    static PyMethodDef methods[] = {
        {"close", close_handle, METH_NOARGS, "close()"},
        {"keys", binding_keys, METH_VARARGS, "keys(parent or None, tokens) -> Keys"},
        {"keys_from_hashes", binding_keys_from_hashes, METH_VARARGS,
            "keys_from_hashes(hashes, hash_bytes, group) -> Keys"},
        {"match", binding_match, METH_O, "match(keys) -> (hot, cold)"},
        {"acquire", binding_acquire, METH_O, "acquire(keys) -> Blocks"},
        {"get", binding_get, METH_O, "get(key) -> bytes or None"},
        {"fetch", binding_fetch, METH_VARARGS, "fetch(keys, timeout_ns) -> hot"},
        {"fetch_layers", binding_fetch_layers, METH_VARARGS,
            "fetch_layers(keys, layers, timeout_ns) -> Blocks"},
        {"prefetch", binding_prefetch, METH_O, "prefetch(keys)"},
        {"put", binding_put, METH_VARARGS, "put(key, parent or None, data)"},
        {"reserve", binding_reserve, METH_VARARGS, "reserve(count, timeout_ns) -> list of Slot"},
        {"read_pieces", pieces_read, METH_VARARGS, "read_pieces(keys, pieces, each) -> count"},
        {"write_pieces", pieces_write, METH_VARARGS,
            "write_pieces(keys, parent or None, pieces, each, timeout_ns) -> count"},
        {"flush", binding_flush, METH_O, "flush(timeout_ns)"},
        {"claim", binding_claim, METH_O, "claim(key) -> status"},
        {"unclaim", binding_unclaim, METH_O, "unclaim(key)"},
        {"wait", binding_wait, METH_VARARGS, "wait(key, timeout_ns) -> status"},
        {"wait_async", binding_wait_async, METH_VARARGS, "wait_async(key, timeout_ns, cookie)"},
        {"fetch_async", binding_fetch_async, METH_VARARGS, "fetch_async(keys, timeout_ns, cookie)"},
        {"fileno", binding_fileno, METH_NOARGS, "fileno() -> int"},
        {"drain", binding_drain, METH_NOARGS, "drain() -> list of (cookie, status, hot)"},
        {"stats", binding_stats, METH_NOARGS, "stats() -> dict"},
        {NULL, NULL, 0, NULL},
    };
    return methods;
}

PyType_Spec *binding_spec(void)
{
    static PyGetSetDef attributes[] = {
        {"closed", get_closed, NULL, "True after close()", NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_doc, "An attachment to the sidecar. cistern.Client is made of it."},
        {Py_tp_new, new_handle},
        {Py_tp_dealloc, dealloc},
        {Py_tp_methods, NULL},
        {Py_tp_getset, attributes},
        {0, NULL},
    };
    static PyType_Spec spec = {.name = "cistern._cistern.Handle",
        .basicsize = sizeof(struct binding),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots};
    slots[3].pfunc = binding_methods();
    return &spec;
}
