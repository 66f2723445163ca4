/* match: is a block hot, as far as can be told without a pin? For libclient/claim, the fetches and
 * cistern_match(). */
#ifndef CISTERN_LIBCLIENT_MATCH_H
#define CISTERN_LIBCLIENT_MATCH_H

#include "libclient/core.h"

/* Can this handle acquire it? */
bool match_is_hot(const struct attach *attach, const struct key *key);

/* Is it in host memory, or in that of the handle's device? */
bool match_is_in(const struct attach *attach, const struct key *key, enum book_of where);

/* Hot blocks at the start of a prefix. Returns 0 or STATUS_NO_SERVER. */
int match_hot(struct cistern *handle, struct attach *attach, const struct cistern_key *keys,
    size_t count, size_t *out_hot);

/* Blocks at the start of `keys` that are hot, or that a lower tier may have, or a device that this
 * handle does not read: what is worth a fetch. */
size_t match_cold(const struct attach *attach, const struct cistern_key *keys, size_t count);

#endif
