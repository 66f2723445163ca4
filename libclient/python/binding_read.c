/* binding_read: from tokens to keys, and from keys to blocks. See binding.h. */
#include "libclient/python/argument.h"
#include "libclient/python/binding.h"
#include "libclient/python/failure.h"
#include "libclient/python/keys.h"
#include "libclient/python/pinned.h"

/* Room for the keys of `tokens` tokens: blocks have one or more each, so that many suffice. */
static PyObject *chain(PyObject *handle, struct anchor *anchor, const struct cistern_key *parent,
    const uint32_t *tokens, size_t count)
{
    struct cistern_key *room = PyMem_Malloc((count + 1) * sizeof *room);
    size_t blocks = 0;
    int status = CISTERN_NO_MEMORY;
    if (room == NULL) {
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS status =
        cistern_keys(anchor->handle, parent, tokens, count, room, &blocks);
    Py_END_ALLOW_THREADS PyObject *keys =
        status < 0 ? failure_raise(handle, status)
                   : keys_make(failure_state_of(handle)->keys, (Py_ssize_t)blocks);
    for (size_t i = 0; keys != NULL && i < blocks; i++) {
        keys_first(keys)[i] = room[i];
    }
    PyMem_Free(room);
    return keys;
}

PyObject *binding_keys(PyObject *handle, PyObject *arguments)
{
    PyObject *parent_object;
    PyObject *tokens_object;
    struct cistern_key room;
    const struct cistern_key *parent;
    size_t count = 0;
    if (!PyArg_ParseTuple(arguments, "OO:keys", &parent_object, &tokens_object) ||
        !argument_parent(parent_object, &room, &parent)) {
        return NULL;
    }
    uint32_t *tokens = argument_tokens(tokens_object, &count);
    struct anchor *anchor = tokens == NULL ? NULL : binding_enter(handle);
    PyObject *keys = NULL;
    if (anchor != NULL) {
        keys = chain(handle, anchor, parent, tokens, count);
        anchor_drop(anchor);
    }
    PyMem_Free(tokens);
    return keys;
}

PyObject *binding_keys_from_hashes(PyObject *handle, PyObject *arguments)
{
    Py_buffer hashes;
    Py_ssize_t hash_bytes;
    unsigned int group;
    if (!PyArg_ParseTuple(arguments, "y*nI:keys_from_hashes", &hashes, &hash_bytes, &group)) {
        return NULL;
    }
    PyObject *keys = NULL;
    struct anchor *anchor = NULL;
    if (hash_bytes < 1 || hashes.len % hash_bytes != 0) {
        PyErr_Format(
            PyExc_ValueError, "%zd bytes are no hashes of %zd bytes", hashes.len, hash_bytes);
    } else {
        anchor = binding_enter(handle);
    }
    if (anchor != NULL) {
        const Py_ssize_t count = hashes.len / hash_bytes;
        keys = keys_make(failure_state_of(handle)->keys, count);
        int status = keys == NULL || count == 0
                         ? CISTERN_OK
                         : cistern_keys_from_hashes(anchor->handle, hashes.buf, (size_t)hash_bytes,
                               (size_t)count, group, keys_first(keys));
        if (status < 0) {
            Py_DECREF(keys);
            keys = failure_raise(handle, status);
        }
        anchor_drop(anchor);
    }
    PyBuffer_Release(&hashes);
    return keys;
}

PyObject *binding_match(PyObject *handle, PyObject *keys_object)
{
    struct argument_keys keys;
    struct cistern_match found = {.size = sizeof found};
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (argument_take_keys(keys_object, &keys)) {
        int status = cistern_match(anchor->handle, keys.first, keys.count, &found);
        result = status < 0 ? failure_raise(handle, status)
                            : Py_BuildValue("(II)", found.hot, found.cold);
        PyBuffer_Release(&keys.buffer);
    }
    anchor_drop(anchor);
    return result;
}

/* Room for as many views as there are keys. Returns NULL after raising. */
static struct lease *open_lease(struct anchor *anchor, const struct argument_keys *keys)
{
    struct lease *lease =
        keys->count > UINT32_MAX ? NULL : lease_open(anchor, (uint32_t)keys->count, false);
    if (lease == NULL) {
        (void)PyErr_NoMemory();
    }
    return lease;
}

/* What a call that pins came to: Blocks, of which there are none after a miss. */
static PyObject *to_blocks(PyObject *handle, struct lease *lease, int status, size_t count)
{
    lease_fill(lease, status == CISTERN_OK ? (uint32_t)count : 0);
    if (status < 0) {
        lease_let_go(lease);
        return failure_raise(handle, status);
    }
    return pinned_make(failure_state_of(handle)->blocks, lease);
}

PyObject *binding_acquire(PyObject *handle, PyObject *keys_object)
{
    struct argument_keys keys;
    size_t count = 0;
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    PyObject *blocks = NULL;
    if (argument_take_keys(keys_object, &keys)) {
        struct lease *lease = open_lease(anchor, &keys);
        if (lease != NULL) {
            int status =
                cistern_acquire(anchor->handle, keys.first, keys.count, lease->views, &count);
            blocks = to_blocks(handle, lease, status, count);
        }
        PyBuffer_Release(&keys.buffer);
    }
    anchor_drop(anchor);
    return blocks;
}

PyObject *binding_fetch_layers(PyObject *handle, PyObject *arguments)
{
    PyObject *keys_object;
    struct argument_keys keys;
    unsigned int layers;
    long long timeout_ns;
    size_t count = 0;
    if (!PyArg_ParseTuple(arguments, "OIL:fetch_layers", &keys_object, &layers, &timeout_ns) ||
        !argument_take_keys(keys_object, &keys)) {
        return NULL;
    }
    PyObject *blocks = NULL;
    struct anchor *anchor = binding_enter(handle);
    struct lease *lease = anchor == NULL ? NULL : open_lease(anchor, &keys);
    if (lease != NULL) {
        int status;
        Py_BEGIN_ALLOW_THREADS status = cistern_fetch_layers(
            anchor->handle, keys.first, keys.count, layers, timeout_ns, lease->views, &count);
        Py_END_ALLOW_THREADS blocks = to_blocks(handle, lease, status, count);
    }
    if (anchor != NULL) {
        anchor_drop(anchor);
    }
    PyBuffer_Release(&keys.buffer);
    return blocks;
}

PyObject *binding_get(PyObject *handle, PyObject *key_object)
{
    struct cistern_key key;
    uint64_t bytes = 0;
    const uint64_t room = ((const struct binding *)handle)->block_bytes;
    if (!argument_key(key_object, &key)) {
        return NULL;
    }
    PyObject *copy = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    struct anchor *anchor = copy == NULL ? NULL : binding_enter(handle);
    if (anchor == NULL) {
        Py_XDECREF(copy);
        return NULL;
    }
    int status;
    char *data = PyBytes_AsString(copy);
    Py_BEGIN_ALLOW_THREADS status = cistern_get(anchor->handle, &key, data, room, &bytes);
    Py_END_ALLOW_THREADS if (status != CISTERN_OK)
    {
        Py_DECREF(copy);
        copy = status < 0 ? failure_raise(handle, status) : Py_NewRef(Py_None);
    }
    else if (bytes < room)
    {
        PyObject *whole = copy;
        copy = PyBytes_FromStringAndSize(data, (Py_ssize_t)bytes);
        Py_DECREF(whole);
    }
    anchor_drop(anchor);
    return copy;
}

PyObject *binding_fetch(PyObject *handle, PyObject *arguments)
{
    PyObject *keys_object;
    struct argument_keys keys;
    long long timeout_ns;
    size_t hot = 0;
    if (!PyArg_ParseTuple(arguments, "OL:fetch", &keys_object, &timeout_ns) ||
        !argument_take_keys(keys_object, &keys)) {
        return NULL;
    }
    PyObject *result = NULL;
    struct anchor *anchor = binding_enter(handle);
    if (anchor != NULL) {
        int status;
        Py_BEGIN_ALLOW_THREADS status =
            cistern_fetch(anchor->handle, keys.first, keys.count, timeout_ns, &hot);
        Py_END_ALLOW_THREADS result = status < 0
                                          ? failure_raise(handle, status)
                                          : PyLong_FromSize_t(status == CISTERN_OK ? hot : 0);
        anchor_drop(anchor);
    }
    PyBuffer_Release(&keys.buffer);
    return result;
}

PyObject *binding_prefetch(PyObject *handle, PyObject *keys_object)
{
    struct argument_keys keys;
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    if (!argument_take_keys(keys_object, &keys)) {
        anchor_drop(anchor);
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status = cistern_prefetch(anchor->handle, keys.first, keys.count);
    Py_END_ALLOW_THREADS PyBuffer_Release(&keys.buffer);
    return binding_answer(handle, anchor, status);
}
