/* registry: the namespaces that the sidecar knows, and their numbers in the descriptors.
 *
 * Called by door when a client attaches and by session when it leaves. A number is given to another
 * namespace only when no block and no session has it, so a block of the one can never be taken for
 * a block of the other. Clients of different trust never share a namespace: an isolated user's is
 * his alone, because whoever may commit could also commit a lie.
 */
#ifndef CISTERN_SIDECAR_SESSION_REGISTRY_H
#define CISTERN_SIDECAR_SESSION_REGISTRY_H

#include "shm/space.h"
#include "sidecar/keep.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_SPACES 4096u /* known at one time */
#define REGISTRY_NUMBER_MAX 65535u /* as wide as the descriptor's field */

struct registry_entry {
    struct space space;
    uint64_t group; /* 0: trusted users; else user id + 1 */
    uint32_t number;
    uint32_t sessions; /* attached now */
};

struct registry {
    struct registry_entry *entries;
    uint32_t count;
    uint32_t last_number;
    struct keep *keep; /* who holds the names for a successor; NULL: nobody */
};

/* What a successor must know of a namespace: its blob in the keeper, by its number. */
struct registry_record {
    struct space space;
    uint64_t group;
};

/* Returns 0 or STATUS_NO_MEMORY. */
int registry_open(struct registry *out_registry);
void registry_close(struct registry *registry);

/* The entry of a checked namespace, one session more on it. A namespace of the same name that
 * differs is refused while a session uses it, and replaced when none does. `blocks_of`: hot blocks
 * by number. Returns 0, STATUS_NAMESPACE, STATUS_LIMIT or as keep_hold(), and then a sentence in
 * `out_why`. */
int registry_take(struct registry *registry, const struct space *space, uint64_t group,
    const uint32_t *blocks_of, struct registry_entry **out_entry, char *out_why, size_t why_bytes);

/* A namespace that the server before this one knew, under its number; no session is on it yet.
 * Returns 0, or STATUS_MALFORMED if it is none, or known already. */
int registry_adopt(
    struct registry *registry, uint32_t number, const struct registry_record *record);

/* One session more on namespace `number`, by an adopted session. Returns false if it is unknown. */
bool registry_join(struct registry *registry, uint32_t number);

/* One session less on namespace `number`. */
void registry_drop(struct registry *registry, uint32_t number);

#endif
