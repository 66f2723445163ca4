/* pieces: see pieces.h. */
#include "libclient/python/pieces.h"

#include "libclient/python/binding.h"

#include <string.h>

bool pieces_take(PyObject *keys, PyObject *pieces, Py_ssize_t each, struct pieces_argument *out)
{
    if (!argument_take_keys(keys, &out->keys)) {
        return false;
    }
    if (PyObject_GetBuffer(pieces, &out->buffer, PyBUF_SIMPLE) != 0) {
        PyBuffer_Release(&out->keys.buffer);
        return false;
    }
    const size_t bytes = (size_t)out->buffer.len;
    const size_t count = bytes / sizeof *out->first;
    out->first = out->buffer.buf;
    out->each = (size_t)each;
    if (each < 1 || bytes % sizeof *out->first != 0 || count % (size_t)each != 0 ||
        count / (size_t)each != out->keys.count) {
        PyErr_Format(PyExc_ValueError, "%zu bytes are no %zd pieces for each of %zu keys", bytes,
            each, out->keys.count);
        pieces_release(out);
        return false;
    }
    return true;
}

void pieces_release(struct pieces_argument *argument)
{
    PyBuffer_Release(&argument->buffer);
    PyBuffer_Release(&argument->keys.buffer);
}

uint64_t pieces_bytes(const struct cistern_piece *pieces, size_t each, uint64_t most)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < each; i++) {
        if (pieces[i].bytes > most - bytes) {
            return 0;
        }
        bytes += pieces[i].bytes;
    }
    return bytes;
}

/* The engine's memory, which Python names by its address. */
static void *at(const struct cistern_piece *piece)
{
    return (void *)(uintptr_t)piece->address;
}

static bool scatter(
    const struct cistern_view *view, const struct cistern_piece *pieces, size_t each)
{
    if (view->tier != CISTERN_TIER_HOST || pieces_bytes(pieces, each, view->bytes) != view->bytes) {
        return false;
    }
    const char *from = view->data;
    for (size_t i = 0; i < each; i++) {
        memcpy(at(&pieces[i]), from, pieces[i].bytes);
        from += pieces[i].bytes;
    }
    return true;
}

/* Blocks copied from the start, or a status below 0 if there was none because of it. */
static long read_all(cistern_t *cache, const struct pieces_argument *argument)
{
    struct cistern_view views[PIECES_BLOCKS];
    const size_t count = argument->keys.count;
    size_t done = 0;
    while (done < count) {
        const size_t wanted = count - done < PIECES_BLOCKS ? count - done : PIECES_BLOCKS;
        size_t got = 0;
        int status = cistern_acquire(cache, argument->keys.first + done, wanted, views, &got);
        if (status != CISTERN_OK) {
            return done == 0 && status < 0 ? status : (long)done;
        }
        size_t copied = 0;
        while (copied < got &&
               scatter(&views[copied], argument->first + (done + copied) * argument->each,
                   argument->each)) {
            copied++;
        }
        (void)cistern_release(cache, views, got); /* of this call alone: cannot be stale */
        done += copied;
        if (copied < wanted) {
            break;
        }
    }
    return (long)done;
}

PyObject *pieces_read(PyObject *handle, PyObject *arguments)
{
    PyObject *keys;
    PyObject *pieces;
    Py_ssize_t each;
    struct pieces_argument argument;
    if (!PyArg_ParseTuple(arguments, "OOn:read_pieces", &keys, &pieces, &each) ||
        !pieces_take(keys, pieces, each, &argument)) {
        return NULL;
    }
    PyObject *result = NULL;
    struct anchor *anchor = binding_enter(handle);
    if (anchor != NULL) {
        long done;
        Py_BEGIN_ALLOW_THREADS done = read_all(anchor->handle, &argument);
        Py_END_ALLOW_THREADS result = binding_answer(handle, anchor, (int)done);
    }
    pieces_release(&argument);
    return result;
}

static bool is_hot(cistern_t *cache, const struct cistern_key *key)
{
    struct cistern_match found = {.size = sizeof found};
    return cistern_match(cache, key, 1, &found) == CISTERN_OK && found.hot == 1;
}

/* One block: 0, or why it is not there. */
static int write_one(cistern_t *cache, const struct cistern_key *key,
    const struct cistern_key *parent, const struct cistern_piece *pieces, size_t each,
    int64_t timeout_ns)
{
    struct cistern_slot slot;
    size_t got = 0;
    if (is_hot(cache, key)) {
        return CISTERN_OK;
    }
    int status = cistern_reserve(cache, 1, timeout_ns, &slot, &got);
    if (status != CISTERN_OK) {
        return status;
    }
    const uint64_t bytes = pieces_bytes(pieces, each, slot.bytes);
    if (bytes == 0) {
        (void)cistern_abort(cache, &slot);
        return CISTERN_TOO_LARGE;
    }
    char *to = slot.data;
    for (size_t i = 0; i < each; i++) {
        memcpy(to, at(&pieces[i]), pieces[i].bytes);
        to += pieces[i].bytes;
    }
    return cistern_commit(cache, &slot, key, parent, bytes);
}

static long write_all(cistern_t *cache, const struct pieces_argument *argument,
    const struct cistern_key *parent, int64_t timeout_ns)
{
    const struct cistern_key *keys = argument->keys.first;
    for (size_t i = 0; i < argument->keys.count; i++) {
        int status = write_one(cache, &keys[i], i == 0 ? parent : &keys[i - 1],
            argument->first + i * argument->each, argument->each, timeout_ns);
        if (status != CISTERN_OK) {
            return i == 0 && status < 0 ? status : (long)i;
        }
    }
    return (long)argument->keys.count;
}

PyObject *pieces_write(PyObject *handle, PyObject *arguments)
{
    PyObject *keys;
    PyObject *parent_object;
    PyObject *pieces;
    Py_ssize_t each;
    long long timeout_ns;
    struct cistern_key room;
    const struct cistern_key *parent;
    struct pieces_argument argument;
    if (!PyArg_ParseTuple(
            arguments, "OOOnL:write_pieces", &keys, &parent_object, &pieces, &each, &timeout_ns) ||
        !argument_parent(parent_object, &room, &parent) ||
        !pieces_take(keys, pieces, each, &argument)) {
        return NULL;
    }
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        pieces_release(&argument);
        return NULL;
    }
    long done;
    Py_BEGIN_ALLOW_THREADS anchor_settle(anchor);
    done = write_all(anchor->handle, &argument, parent, timeout_ns);
    Py_END_ALLOW_THREADS pieces_release(&argument);
    return binding_answer(handle, anchor, (int)done);
}
