/* tier_fault: wraps any tier and spoils what it does: by seed and rate, so a run can be repeated.
 *
 * For tests of everything that stands on a tier; never opened by cisternd. fail: an operation ends
 * with STATUS_IO; delay: its event comes some polls later; tear: the second half of a loaded block
 * is what was there before, or of a stored one is lost; corrupt: a bit of it is flipped. A tear or
 * a flip is done to the bytes that the wrapped tier reads or writes *beneath* its checksums where
 * it offers that, and else shows as the MISS that a checksum makes of it: a fault never makes a
 * LOADED with STATUS_OK wrong, because that is the promise under test.
 */
#ifndef CISTERN_SIDECAR_TIER_TIER_FAULT_H
#define CISTERN_SIDECAR_TIER_TIER_FAULT_H

#include "sidecar/tier/tier.h"

struct tier_fault_rates { /* of 65536 operations so many; 0: never */
    uint32_t fail_store;
    uint32_t fail_load;
    uint32_t busy; /* refused with STATUS_BUSY at once */
    uint32_t delay;
    uint32_t tear;
    uint32_t corrupt;
    uint32_t lose; /* a stored block is gone: LOST, or a load misses */
};

struct tier_fault_options {
    struct tier *inner; /* owned from here on */
    uint64_t seed;
    struct tier_fault_rates rates;
    uint32_t delay_polls; /* at most so many */
    /* Spoils the medium of `inner` beneath its checksums: flips a bit of, or cuts, what is stored
     * under the name. Returns false if it cannot. NULL: show a MISS instead. */
    bool (*spoil)(void *context, const struct tier_id *id, bool tear, uint64_t random);
    void *context;
};

/* Returns 0 or STATUS_NO_MEMORY. */
int tier_fault_open(const struct tier_fault_options *options, struct tier **out_tier);

/* Change the rates, e.g. to 0 so that a test can settle. */
void tier_fault_set(struct tier *tier, const struct tier_fault_rates *rates);

#endif
