/* policy_hazard: see policy_hazard.h.
 *
 * Sources: Kaplan and Meier 1958 (chances from lives of which some are still going on); Gittins
 * 1979 (the index); Beckmann et al., "LHD", NSDI 2018 (hits per space and time as a cache's rank).
 */
#include "sidecar/block/policy_hazard.h"

#include <string.h>

#define AGES POLICY_HAZARD_AGES
#define CLASSES POLICY_HAZARD_CLASSES
#define GROUPS POLICY_HAZARD_GROUPS

/* Evidence that takes the place of what was not seen, in blocks. Blocks come and go in chains of
 * tens, so a few dozen are little more than one observation. */
#define FIRST_CHANCE 0.02f
#define FALL 0.8f /* from one age to the next */
#define POOL_PRIOR 50.0f
#define TAIL 0.12f /* what a worth keeps, at least, from one age (half an octave) to the next */
#define GROUP_PRIOR 16.0f
#define CLASS_PRIOR 40.0f

struct ages {
    float of[AGES];
};

/* Blocks that were used at each age, and that were there to be used. Who left sight or is alive
 * within an age was there for half of it. */
static void count_risk(const struct policy_hazard *hazard, const struct policy_hazard_counts *alive,
    uint32_t class, struct ages *out_risk)
{
    float later = 0;
    for (uint32_t age = AGES; age-- > 0;) {
        float gone = hazard->unused.of[class][age] + alive->of[class][age];
        later += hazard->used.of[class][age] + gone;
        out_risk->of[age] = later - gone / 2;
    }
}

/* How long an age lasts. */
static float width(uint32_t age)
{
    return age < 4 ? 1.0f : (float)(UINT64_C(1) << (age / 2)) / 2;
}

/* Uses for each unit of time, if a block of each age is kept as long as is best for that ratio. */
static void weigh(const struct ages *chance, float *out_worth)
{
    for (uint32_t from = 0; from < AGES; from++) {
        float alive = 1;
        float uses = 0;
        float time = 0;
        float best_uses = 0;
        float best_time = 1;
        for (uint32_t age = from; age < AGES; age++) {
            float used = alive * chance->of[age];
            uses += used;
            time += width(age) * (alive - used / 2);
            alive -= used;
            if (uses * best_time > best_uses * time) {
                best_uses = uses;
                best_time = time;
            }
        }
        out_worth[from] = best_uses / best_time;
    }
}

void policy_hazard_open(struct policy_hazard *hazard, const uint8_t groups[CLASSES])
{
    memset(hazard, 0, sizeof *hazard);
    memcpy(hazard->groups, groups, sizeof hazard->groups);
    struct policy_hazard_counts alive;
    memset(&alive, 0, sizeof alive);
    policy_hazard_learn(hazard, &alive, 1);
}

/* The chance at each age for all blocks together. */
static void pool_all(const struct ages *used, const struct ages *risk, struct ages *out_chance)
{
    float before = FIRST_CHANCE / FALL;
    for (uint32_t age = 0; age < AGES; age++) {
        before = (used->of[age] + POOL_PRIOR * FALL * before) / (risk->of[age] + POOL_PRIOR);
        out_chance->of[age] = before;
    }
}

/* The chance at each age where `used` of `risk` were used, and `like` is expected. */
static void lean(const float *used, const struct ages *risk, const struct ages *like, float prior,
    struct ages *out_chance)
{
    for (uint32_t age = 0; age < AGES; age++) {
        out_chance->of[age] = (used[age] + prior * like->of[age]) / (risk->of[age] + prior);
    }
}

static void add(struct ages *to, const float *from)
{
    for (uint32_t age = 0; age < AGES; age++) {
        to->of[age] += from[age];
    }
}

/* Age is counted in uses of all blocks, so a new load beside an old one makes all ages longer at
 * once: a block that was always used again at one age must not be worthless at twice that age. */
static void soften(float worth[POLICY_HAZARD_AGES])
{
    for (uint32_t age = 1; age < AGES; age++) {
        float least = worth[age - 1] * TAIL;
        worth[age] = worth[age] < least ? least : worth[age];
    }
}

void policy_hazard_learn(
    struct policy_hazard *hazard, const struct policy_hazard_counts *alive, float keep)
{
    struct ages used[GROUPS + 1] = {{{0}}}; /* the last: of all groups */
    struct ages risk[GROUPS + 1] = {{{0}}};
    struct ages chance[GROUPS + 1];
    struct ages risks[CLASSES];
    for (uint32_t class = 0; class < CLASSES; class ++) {
        uint32_t group = hazard->groups[class];
        count_risk(hazard, alive, class, &risks[class]);
        add(&used[group], hazard->used.of[class]);
        add(&risk[group], risks[class].of);
        add(&used[GROUPS], hazard->used.of[class]);
        add(&risk[GROUPS], risks[class].of);
    }
    pool_all(&used[GROUPS], &risk[GROUPS], &chance[GROUPS]);
    for (uint32_t group = 0; group < GROUPS; group++) {
        lean(used[group].of, &risk[group], &chance[GROUPS], GROUP_PRIOR, &chance[group]);
    }
    for (uint32_t class = 0; class < CLASSES; class ++) {
        struct ages own;
        lean(hazard->used.of[class], &risks[class], &chance[hazard->groups[class]], CLASS_PRIOR,
            &own);
        weigh(&own, hazard->worth.of[class]);
        soften(hazard->worth.of[class]);
        for (uint32_t age = 0; age < AGES; age++) {
            hazard->used.of[class][age] *= keep;
            hazard->unused.of[class][age] *= keep;
        }
    }
}
