/* tiers: the lower tiers of this sidecar as one: which is asked first, and what lies where.
 *
 * Opened by server_tiers; called by block/fetch (load), block/spill (store) and block/cold (poll)
 * on the server's loop. Keeps the cold hints of the index: a block that became known on a tier has
 * one, a block that is lost has none. Keeps what the tiers know the namespaces by. Always: every
 * accepted operation ends in one event with the caller's cookie, however many tiers were asked.
 *
 *   load ─▶ the fastest ─ MISS, IO ─▶ the next ─ … ─▶ LOADED    no other tier after a PART: who
 *   store ─▶ the first that takes it ─▶ STORED                  was told may be reading already
 */
#ifndef CISTERN_SIDECAR_TIER_TIERS_H
#define CISTERN_SIDECAR_TIER_TIERS_H

#include "shm/layout.h"
#include "shm/space.h"
#include "sidecar/tier/tier.h"

#include <stdbool.h>
#include <stdint.h>

#define TIERS_MAX 4u
#define TIERS_SPACES 65536u /* as many as the descriptor's field can name */
#define TIERS_LOADS 2048u /* loads under way at one time */
#define TIERS_SPACE_NONE 0u /* no namespace has this number */
#define TIERS_NONE UINT32_MAX

/* What the tiers know a namespace by. */
struct tiers_space {
    uint8_t digest[32]; /* SHA-256 of the descriptor and of who is trusted with it */
    struct codec_shape shape;
    uint16_t next; /* number of the next one whose digest falls into the same chain */
    bool known;
};

/* One load on its way through the tiers. */
struct tiers_load {
    struct tier_wish wish;
    uint64_t cookie; /* the caller's */
    uint32_t asked; /* a bit for each tier that was */
    uint32_t next; /* free ones */
    bool told; /* of a part */
};

struct tiers {
    struct tier *tier[TIERS_MAX];
    uint32_t order[TIERS_MAX]; /* the fastest first */
    uint32_t count;
    const struct index_view *index;
    _Atomic uint64_t *counters;
    struct tiers_space *spaces; /* by number */
    uint16_t *chains; /* by digest; TIERS_SPACE_NONE ends one */
    struct tiers_load *loads;
    uint32_t free_load;
    uint32_t loading; /* loads under way */
    uint32_t storing;
    uint32_t turn; /* the tier that is polled first */
    uint64_t cold_blocks; /* cold hints */
    struct tier_health seen[TIERS_MAX]; /* what the counters know already */
};

/* Borrows index and counters. Returns 0 or STATUS_NO_MEMORY. */
int tiers_open(struct tiers *out_tiers, const struct index_view *index, _Atomic uint64_t *counters);

/* One more tier, owned from here on. At most TIERS_MAX. */
void tiers_add(struct tiers *tiers, struct tier *tier);

/* Finish, bounded by `wait_ns` for each, and give everything back. Accepts NULL and a closed one.
 * */
void tiers_close(struct tiers *tiers, uint64_t wait_ns);

/* Number `number` belongs to this namespace, of this trust group (session/registry), from now on.
 * */
void tiers_space(struct tiers *tiers, uint32_t number, const struct space *space, uint64_t group);

/* What is known of a namespace's number, or NULL. */
const struct tiers_space *tiers_space_of(const struct tiers *tiers, uint32_t number);

/* The number that was given last to the namespace of this digest, or TIERS_SPACE_NONE. */
uint32_t tiers_space_number(const struct tiers *tiers, const uint8_t *digest);

/* As tier_store(); STATUS_IO also if there is no tier. */
int tiers_store(struct tiers *tiers, const struct tier_block *block, uint64_t cookie);

/* As tier_load(); STATUS_MISS if no tier has it. */
int tiers_load(struct tiers *tiers, const struct tier_wish *wish, uint64_t cookie);

/* Is a block of this key known on a tier? Advice: of any namespace, and tags may collide. */
bool tiers_has(const struct tiers *tiers, const struct key *key);

/* Take up to `room` events, all tiers in turn; hints and cold_now follow them. */
uint32_t tiers_poll(
    struct tiers *tiers, uint64_t now_ns, struct tier_done *out_done, uint32_t room);

/* Must it be polled though no descriptor will say so? */
bool tiers_restless(const struct tiers *tiers);

/* Does one of them still find what an earlier life left, as of the last tick? */
bool tiers_finding(const struct tiers *tiers);

/* Now and then: measure again who is fastest, and bring the counters up to date. */
void tiers_tick(struct tiers *tiers);

#endif
