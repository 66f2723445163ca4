/* policy_referee: see policy_referee.h. Source: Qureshi et al., "A Case for MLP-Aware Cache
 * Replacement", ISCA 2006 (a sample of a cache under each policy, and the cache follows). */
#include "sidecar/block/policy_referee.h"

#include "sidecar/block/policy.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

/* What counts half after as many keys of the sample. Differences of a hundredth show only so. */
#define MEMORY_CAPACITIES 64u
#define MEMORY_LEAST 200000u
/* In deviations; and in hits: a part of the capacity, and a prompt's worth for the smallest. */
#define BEHIND 0.125f
#define AHEAD 1.5f
#define COST_CAPACITY 0.1f
#define COST_LEAST 48.0f
/* The lead ends at so many times what is ahead, so that a load that changes is seen in time. */
#define LEAD_MOST 2.0f

static uint32_t most_of(uint32_t slots)
{
    return slots < POLICY_SHADOW_MOST ? slots : POLICY_SHADOW_MOST;
}

uint64_t policy_referee_arena_bytes(uint32_t slots)
{
    return arena_bytes(POLICY_REFEREES, sizeof(struct policy_referee)) +
           UINT64_C(2) * POLICY_REFEREES * policy_shadow_arena_bytes(most_of(slots));
}

struct policy_referee *policy_referee_open(uint32_t slots, struct arena *arena)
{
    struct policy_referee *referees = arena_take(arena, POLICY_REFEREES, sizeof referees[0]);
    for (uint32_t i = 0; i < POLICY_REFEREES; i++) {
        policy_shadow_open(&referees[i].learned, most_of(slots), arena);
        policy_shadow_open(&referees[i].recent, most_of(slots), arena);
    }
    return referees;
}

static void set_capacity(struct policy_referee *referee, uint32_t capacity, uint32_t width)
{
    uint32_t sampled = capacity >> referee->path.shift;
    sampled = sampled > 0 ? sampled : 1;
    assert(sampled <= referee->learned.most);
    referee->learned.capacity = sampled;
    referee->recent.capacity = sampled;
    referee->width = width;
}

/* Begin anew, with the sample that the capacity asks for. */
static void begin(struct policy_referee *referee, uint32_t capacity, uint32_t width, uint32_t now)
{
    uint32_t shift = 0;
    while (capacity >> shift > referee->learned.most) {
        shift++;
    }
    policy_path_reset(&referee->path, shift);
    policy_shadow_reset(&referee->learned, now);
    policy_shadow_reset(&referee->recent, now);
    referee->lead = 0;
    referee->square = 0;
    set_capacity(referee, capacity, width);
}

struct policy_referee *policy_referee_take(
    struct policy_referee *referees, uint32_t capacity, uint32_t width, uint32_t now)
{
    for (uint32_t i = 0; i < POLICY_REFEREES; i++) {
        if (!referees[i].taken) {
            referees[i].taken = true;
            referees[i].recency = false;
            referees[i].switches = 0;
            begin(&referees[i], capacity, width, now);
            return &referees[i];
        }
    }
    return NULL;
}

void policy_referee_drop(struct policy_referee **referee)
{
    if (*referee != NULL) {
        (*referee)->taken = false;
        *referee = NULL;
    }
}

void policy_referee_resize(
    struct policy_referee *referee, uint32_t capacity, uint32_t width, uint32_t now)
{
    uint32_t most = referee->learned.most;
    uint32_t sampled = capacity >> referee->path.shift;
    if (sampled > most || (sampled < most / 4 && referee->path.shift > 0)) {
        begin(referee, capacity, width, now);
    } else {
        set_capacity(referee, capacity, width);
    }
}

/* A prompt, `count` keys of it, brought the learned order so many hits more. */
static void judge(struct policy_referee *referee, uint32_t count, float more)
{
    float capacity = (float)referee->learned.capacity;
    float memory = fmaxf((float)MEMORY_CAPACITIES * capacity, (float)MEMORY_LEAST);
    /* 2^-x, for a small x */
    float keep = 1.0f - 0.693f * (float)count / memory;
    referee->square = referee->square * keep + more * more;
    float deviation = sqrtf(referee->square);
    float cost = capacity * COST_CAPACITY + COST_LEAST;
    float ahead = AHEAD * deviation + cost;
    float lead = referee->lead * keep + more;
    referee->lead = fminf(fmaxf(lead, -LEAD_MOST * ahead), LEAD_MOST * ahead);
    bool recency = referee->recency;
    if (referee->lead < -(BEHIND * deviation + cost)) {
        recency = true;
    } else if (referee->lead > ahead) {
        recency = false;
    }
    referee->switches += recency != referee->recency ? 1 : 0;
    referee->recency = recency;
}

/* The path is whole: both shadows see it. */
static void end_path(struct policy_referee *referee, const struct policy_plan_view *view,
    const struct policy_node *nodes, uint32_t now)
{
    struct policy_shadow_prompt prompt;
    if (!policy_path_take(&referee->path, nodes, &prompt)) {
        return;
    }
    if ((int32_t)(now - referee->learned.shelf.starts[0]) >= (int32_t)referee->width) {
        policy_shadow_cut(&referee->learned, now);
        policy_shadow_cut(&referee->recent, now);
    }
    struct policy_plan_view recent = *view;
    recent.recency = true;
    uint32_t learned_hits = policy_shadow_request(&referee->learned, view, &prompt, now);
    uint32_t recent_hits = policy_shadow_request(&referee->recent, &recent, &prompt, now);
    judge(referee, prompt.count, (float)learned_hits - (float)recent_hits);
}

void policy_referee_use(struct policy_referee *referee, const struct policy_plan_view *view,
    const struct policy_node *nodes, uint32_t slot, uint8_t class, bool came, uint32_t now)
{
    assert(!view->recency);
    if (!policy_path_goes_on(&referee->path, nodes, slot, came)) {
        end_path(referee, view, nodes, now);
        policy_path_begin(&referee->path);
    }
    policy_path_add(&referee->path, nodes, slot, class, came);
}
