/* binding_write: blocks that are made here, and who makes them. See binding.h. */
#include "libclient/python/argument.h"
#include "libclient/python/binding.h"
#include "libclient/python/failure.h"
#include "libclient/python/slots.h"

PyObject *binding_put(PyObject *handle, PyObject *arguments)
{
    PyObject *key_object;
    PyObject *parent_object;
    struct cistern_key key;
    struct cistern_key room;
    const struct cistern_key *parent;
    Py_buffer data;
    if (!PyArg_ParseTuple(arguments, "OOy*:put", &key_object, &parent_object, &data)) {
        return NULL;
    }
    struct anchor *anchor = NULL;
    if (argument_key(key_object, &key) && argument_parent(parent_object, &room, &parent)) {
        anchor = binding_enter(handle);
    }
    if (anchor == NULL) {
        PyBuffer_Release(&data);
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS anchor_settle(anchor);
    status = cistern_put(anchor->handle, &key, parent, data.buf, (uint64_t)data.len);
    Py_END_ALLOW_THREADS PyBuffer_Release(&data);
    return binding_answer(handle, anchor, status);
}

PyObject *binding_reserve(PyObject *handle, PyObject *arguments)
{
    unsigned int count;
    long long timeout_ns;
    size_t got = 0;
    if (!PyArg_ParseTuple(arguments, "IL:reserve", &count, &timeout_ns)) {
        return NULL;
    }
    if (count < 1 || count > 128) {
        PyErr_SetString(PyExc_ValueError, "1 to 128 slots can be had at once");
        return NULL;
    }
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    PyObject *slots = NULL;
    struct lease *lease = lease_open(anchor, count, true);
    if (lease == NULL) {
        (void)PyErr_NoMemory();
    } else {
        int status;
        Py_BEGIN_ALLOW_THREADS anchor_settle(anchor);
        status = cistern_reserve(anchor->handle, count, timeout_ns, lease->slots, &got);
        Py_END_ALLOW_THREADS if (status < 0)
        {
            lease_let_go(lease);
            (void)failure_raise(handle, status);
        }
        else
        {
            lease_fill(lease, (uint32_t)got);
            slots = slots_make(failure_state_of(handle)->slot, lease);
        }
    }
    anchor_drop(anchor);
    return slots;
}

PyObject *binding_flush(PyObject *handle, PyObject *timeout)
{
    const long long timeout_ns = PyLong_AsLongLong(timeout);
    if (timeout_ns == -1 && PyErr_Occurred() != NULL) {
        return NULL;
    }
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status = cistern_flush(anchor->handle, timeout_ns);
    Py_END_ALLOW_THREADS return binding_answer(handle, anchor, status);
}

/* A call with one key and no more. */
static PyObject *ask(PyObject *handle, PyObject *key_object,
    int (*question)(cistern_t *handle, const struct cistern_key *key))
{
    struct cistern_key key;
    struct anchor *anchor = argument_key(key_object, &key) ? binding_enter(handle) : NULL;
    if (anchor == NULL) {
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status = question(anchor->handle, &key);
    Py_END_ALLOW_THREADS return binding_answer(handle, anchor, status);
}

PyObject *binding_claim(PyObject *handle, PyObject *key)
{
    return ask(handle, key, cistern_claim);
}

PyObject *binding_unclaim(PyObject *handle, PyObject *key)
{
    return ask(handle, key, cistern_unclaim);
}
