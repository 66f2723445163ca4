/* staging: the private memory that an isolated client fills instead of the pool.
 *
 * One segment a session, cut in places of one block each; the client maps it read-write, the server
 * copies a place into the pool at its commit. Called by door and dispatch, on the server's loop.
 * Always: a place is lent or free, and every lending has a generation of its own.
 */
#ifndef CISTERN_SIDECAR_SESSION_STAGING_H
#define CISTERN_SIDECAR_SESSION_STAGING_H

#include "shm/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct staging {
    struct segment segment;
    uint64_t place_bytes; /* a multiple of the page size */
    uint32_t places;
    uint32_t free_count;
    uint32_t *free_places; /* a stack */
    uint64_t *generation; /* a place: odd while it is lent */
};

/* The bytes that one place of a block takes. */
uint64_t staging_place_bytes(uint64_t block_bytes);

/* Returns 0, or what segment_make() returns. */
int staging_open(struct staging *out_staging, uint64_t block_bytes, uint32_t places);
void staging_close(struct staging *staging);

/* Lend a place. Returns false if all are lent. */
bool staging_lend(struct staging *staging, uint32_t *out_place, uint64_t *out_generation);

/* Is this place lent under this generation? The numbers may be a hostile client's. */
bool staging_is_lent(const struct staging *staging, uint32_t place, uint64_t generation);

/* A lent place came home. */
void staging_home(struct staging *staging, uint32_t place);

/* Where its bytes are. The client may change them at any time: copy once, then look at the copy. */
const void *staging_at(const struct staging *staging, uint32_t place);

#endif
