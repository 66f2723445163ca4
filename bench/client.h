/* client: handles as the scenarios need them, and blocks to find. Every failure prints what the
 * library says about it. */
#ifndef CISTERN_BENCH_CLIENT_H
#define CISTERN_BENCH_CLIENT_H

#include <cistern.h>

#include <stdbool.h>
#include <stdint.h>

struct client_settings {
    const char *socket_path;
    const char *name; /* of the namespace */
    uint32_t block_tokens; /* 0: 16 */
    uint64_t block_bytes;
    uint32_t pins_per_thread; /* 0: the library's default; the same of the following */
    uint32_t grants_ahead;
    uint32_t threads_max;
    const char *device; /* NULL: none */
};

/* Returns false after a line on stderr. */
bool client_open(const struct client_settings *settings, cistern_t **out_handle);

/* Print "what: name of the status (why); advice" on stderr. Returns false, for the caller's
 * return. */
bool client_failed(const char *what, int status);

/* Commit blocks number `first` to `first + count - 1` of `seed`'s stream, with `bytes` of content
 * each, and wait until the sidecar took them. Chained: each is the child of the one before. */
bool client_fill(
    cistern_t *handle, uint64_t seed, uint64_t first, uint64_t count, uint64_t bytes, bool chained);

#endif
