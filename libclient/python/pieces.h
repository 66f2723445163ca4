/* pieces: blocks that go to, and come from, where an engine has them: pieces of its own memory.
 *
 * What the adapters of cistern.engines copy with. One call takes many blocks and makes no objects.
 * An address is the caller's word: one that is wrong ends the process, as with ctypes.
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_PIECES_H
#define CISTERN_LIBCLIENT_PYTHON_PIECES_H

#include "libclient/python/argument.h"

#include <cistern_device.h>

#define PIECES_BLOCKS 64 /* pinned, or reserved, at once */

/* Pieces in a buffer, `each` of them a block; the caller releases both buffers. */
struct pieces_argument {
    struct argument_keys keys;
    Py_buffer buffer;
    const struct cistern_piece *first;
    size_t each;
};

/* Raises and returns false unless there are `each` pieces for every key; then nothing is held. */
bool pieces_take(PyObject *keys, PyObject *pieces, Py_ssize_t each, struct pieces_argument *out);
void pieces_release(struct pieces_argument *argument);

/* Bytes of one block's pieces; 0 if they are none, or more than `most`. */
uint64_t pieces_bytes(const struct cistern_piece *pieces, size_t each, uint64_t most);

/* Handle.read_pieces(keys, pieces, each): copy the hot blocks at the start out. Stops at the first
 * that is not hot, or not exactly as long as its pieces. Returns how many were copied. */
PyObject *pieces_read(PyObject *handle, PyObject *arguments);

/* Handle.write_pieces(keys, parent or None, pieces, each, timeout_ns): copy blocks of one chain in
 * and publish them; nothing is copied of those that are hot. Returns how many, from the start, are
 * published or were hot: fewer if no slot could be had. */
PyObject *pieces_write(PyObject *handle, PyObject *arguments);

#endif
