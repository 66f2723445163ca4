/* argument: see argument.h. */
#include "libclient/python/argument.h"

#include <string.h>

bool argument_take_keys(PyObject *object, struct argument_keys *out_keys)
{
    if (PyObject_GetBuffer(object, &out_keys->buffer, PyBUF_SIMPLE) != 0) {
        return false;
    }
    const size_t bytes = (size_t)out_keys->buffer.len;
    if (bytes == 0 || bytes % sizeof(struct cistern_key) != 0) {
        PyBuffer_Release(&out_keys->buffer);
        PyErr_Format(PyExc_ValueError, "%zu bytes are no keys of %zu bytes each", bytes,
            sizeof(struct cistern_key));
        return false;
    }
    out_keys->first = out_keys->buffer.buf;
    out_keys->count = bytes / sizeof(struct cistern_key);
    return true;
}

bool argument_key(PyObject *object, struct cistern_key *out_key)
{
    struct argument_keys keys;
    if (!argument_take_keys(object, &keys)) {
        return false;
    }
    const bool one = keys.count == 1;
    if (one) {
        memcpy(out_key, keys.first, sizeof *out_key);
    } else {
        PyErr_Format(PyExc_ValueError, "%zu keys where one is wanted", keys.count);
    }
    PyBuffer_Release(&keys.buffer);
    return one;
}

bool argument_parent(
    PyObject *object, struct cistern_key *room, const struct cistern_key **out_pointer)
{
    if (object == Py_None) {
        *out_pointer = NULL;
        return true;
    }
    *out_pointer = room;
    return argument_key(object, room);
}

/* A token as it lies in memory. Returns false if it is none. */
static bool read_token(const char *at, Py_ssize_t bytes, bool is_signed, uint32_t *out_token)
{
    uint32_t narrow;
    uint64_t wide;
    if (bytes == 4) {
        memcpy(&narrow, at, sizeof narrow);
        *out_token = narrow;
        return !is_signed || narrow <= INT32_MAX;
    }
    memcpy(&wide, at, sizeof wide);
    *out_token = (uint32_t)wide;
    return wide <= UINT32_MAX; /* a negative one is above that */
}

static bool is_tokens(const Py_buffer *buffer)
{
    const char *format = buffer->format;
    return buffer->ndim == 1 && (buffer->itemsize == 4 || buffer->itemsize == 8) &&
           format != NULL && format[0] != '\0' && strchr("iIlLqQ", format[0]) != NULL &&
           format[1] == '\0';
}

uint32_t *argument_tokens(PyObject *object, size_t *out_count)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(object, &buffer, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
        return NULL;
    }
    uint32_t *tokens = NULL;
    if (!is_tokens(&buffer)) {
        PyErr_SetString(PyExc_TypeError, "tokens are one row of 4- or 8-byte integers");
    } else {
        const size_t count = (size_t)(buffer.len / buffer.itemsize);
        const bool is_signed = strchr("ilq", buffer.format[0]) != NULL;
        tokens = PyMem_Malloc((count + 1) * sizeof *tokens);
        for (size_t i = 0; tokens != NULL && i < count; i++) {
            const char *at = (const char *)buffer.buf + i * (size_t)buffer.itemsize;
            if (!read_token(at, buffer.itemsize, is_signed, &tokens[i])) {
                PyErr_Format(PyExc_OverflowError, "token %zu is not 0 to 4294967295", i);
                PyMem_Free(tokens);
                tokens = NULL;
            }
        }
        if (tokens == NULL && PyErr_Occurred() == NULL) {
            (void)PyErr_NoMemory();
        }
        *out_count = count;
    }
    PyBuffer_Release(&buffer);
    return tokens;
}
