/* policy_hazard: what a block is worth, learned from what became of blocks like it.
 *
 * Called by policy_adaptive and policy_watch. Blocks are alike by class (how often they were used,
 * and how) and by age (how long ago, in buckets that grow: two to each doubling). For each class
 * and age is counted how many watched blocks were used at that age, and how many were not and left
 * sight, or are alive now. That gives the chance of a use at each age, and from it the worth: uses
 * to expect for each unit of time that a slot is spent, if the block is kept as long as is best.
 * It is the index of Gittins; it falls with age where old blocks are rarely used, as LRU assumes,
 * and rises towards an age at which blocks use to come back.
 *
 * Always: where little was seen, a class takes after the classes of its group, a group after all
 * groups, and an age after the age before;
 * where nothing was seen, worth falls with age and is the same for all classes: LRU.
 */
#ifndef CISTERN_SIDECAR_BLOCK_POLICY_HAZARD_H
#define CISTERN_SIDECAR_BLOCK_POLICY_HAZARD_H

#include <stdint.h>

#define POLICY_HAZARD_CLASSES 34u
#define POLICY_HAZARD_GROUPS 8u
#define POLICY_HAZARD_AGES 48u

struct policy_hazard_counts {
    float of[POLICY_HAZARD_CLASSES][POLICY_HAZARD_AGES];
};

struct policy_hazard {
    uint8_t groups[POLICY_HAZARD_CLASSES]; /* classes of a group are alike until they are known */
    struct policy_hazard_counts used; /* ended by a use, at that age */
    struct policy_hazard_counts unused; /* left sight at that age */
    struct policy_hazard_counts worth;
};

/* `groups`: the group of each class, below POLICY_HAZARD_GROUPS. */
void policy_hazard_open(struct policy_hazard *hazard, const uint8_t groups[POLICY_HAZARD_CLASSES]);

/* The bucket of an age: 0, 1, 2, 3, 4 to 5, 6 to 7, 8 to 11, 12 to 15, and so on. */
static inline uint32_t policy_hazard_age(uint32_t time)
{
    if (time < 4) {
        return time;
    }
    uint32_t log = 31 - (uint32_t)__builtin_clz(time);
    uint32_t bucket = 2 * log + (time >> (log - 1) & 1);
    return bucket < POLICY_HAZARD_AGES ? bucket : POLICY_HAZARD_AGES - 1;
}

static inline void policy_hazard_used(struct policy_hazard *hazard, uint32_t class, uint32_t time)
{
    hazard->used.of[class][policy_hazard_age(time)] += 1;
}

static inline void policy_hazard_unused(struct policy_hazard *hazard, uint32_t class, uint32_t time)
{
    hazard->unused.of[class][policy_hazard_age(time)] += 1;
}

static inline float policy_hazard_worth(
    const struct policy_hazard *hazard, uint32_t class, uint32_t time)
{
    return hazard->worth.of[class][policy_hazard_age(time)];
}

/* Make `worth` anew. `alive`: watched blocks by class and by their age now. Afterwards what was
 * counted so far is multiplied by `keep`, from 0 to 1. Tens of microseconds. */
void policy_hazard_learn(
    struct policy_hazard *hazard, const struct policy_hazard_counts *alive, float keep);

#endif
