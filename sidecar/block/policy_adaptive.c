/* policy_adaptive: the leaf goes that is worth least: uses to expect, times what a use saves.
 *
 * Called through policy_adaptive by policy. A block's class says how often it was used: once (and
 * then how often its conversation had gone on when it came), or again (and then how long it took).
 * What class and age say about the next use is learned while running, policy_hazard.h, from blocks
 * watched in and out of the cache, policy_watch.h; what was used before it was evicted is known
 * again when it comes back, ghost_history.h. Leaves stand on a shelf by class, cost and age, so
 * only the oldest leaf of each segment is compared; blocks with resident children stand nowhere,
 * and go on the shelf, at their own age, when the last child goes.
 *
 * Where blocks are alike, what is learned is noise around LRU's order: both orders are tried in
 * small shadows of the cache, policy_referee.h, and while LRU's hits more, worth goes by the last
 * use alone. Nothing moves when the order changes: the shelf is the same for both.
 *
 * Always: a block behind a missing one goes first, because nobody can reach it. While nothing is
 * known, and where all classes behave alike, the order is LRU's.
 */
#include "sidecar/block/policy_adaptive.h"

#include "sidecar/block/policy.h"
#include "sidecar/block/policy_class.h"
#include "sidecar/block/policy_plan.h"

#include <assert.h>
#include <string.h>

#define USES_MOST 255u

#define SEGMENTS_PER_CAPACITY 32u
#define LEARN_FIRST 64u /* events until the first learning; then twice as many, and so on */
#define LEARN_LEAST 1024u /* but in the end no more often than this */
#define MEMORY_CAPACITIES 4u /* what was seen counts half after as many events */
#define MEMORY_LEAST 32768u
#define HORIZON_CAPACITIES 32u
#define HORIZON_LEAST 50000u

static_assert(POLICY_SHELF_ROWS == 2 * POLICY_HAZARD_CLASSES, "a row for each class and cost");

static uint32_t now_of(const struct policy *policy)
{
    return (uint32_t)(policy->memory->used >> policy->memory->time_shift);
}

#define PLAN_PER_CAPACITY 1024u
#define PLAN_MOST 64u

static uint32_t row_of(const struct policy_node *node, enum policy_cost cost)
{
    return node->list + (cost == POLICY_FETCH ? POLICY_HAZARD_CLASSES : 0);
}

static void open_policy(struct policy *policy)
{
    struct policy_memory *memory = policy->memory;
    assert(memory->opened < POLICY_MOST);
    policy->adaptive = &memory->adaptive[memory->opened];
    policy->adaptive->number = (uint8_t)memory->opened;
    memory->opened++;
}

static uint32_t larger(uint32_t left, uint32_t right)
{
    return left > right ? left : right;
}

/* How long a segment of the shelf is, in time. */
static uint32_t width_of(const struct policy *policy)
{
    uint32_t width = policy->capacity / SEGMENTS_PER_CAPACITY >> policy->memory->time_shift;
    return larger(width, 1);
}

/* As learned. */
static struct policy_plan_view view_of(const struct policy *policy)
{
    return (struct policy_plan_view){
        .hazard = &policy->adaptive->hazard,
        .depths = policy->adaptive->depths,
        .weights = &policy->memory->weights,
    };
}

static void bear(struct policy *policy)
{
    struct policy_adaptive *own = policy->adaptive;
    own->born = 1;
    own->learn_at = LEARN_FIRST;
    uint8_t groups[POLICY_HAZARD_CLASSES];
    policy_class_groups(groups);
    policy_hazard_open(&own->hazard, groups);
    policy_shelf_open(&own->shelf, now_of(policy));
    own->referee = policy_referee_take(
        policy->memory->referees, policy->capacity, width_of(policy), now_of(policy));
}

/* Count a share of the watched blocks, or all that are left. */
static void count_watched(struct policy *policy, uint32_t most)
{
    struct policy_adaptive *own = policy->adaptive;
    struct policy_memory *memory = policy->memory;
    uint64_t horizon = (uint64_t)memory->slots * HORIZON_CAPACITIES;
    horizon = horizon > HORIZON_LEAST ? horizon : HORIZON_LEAST;
    policy_watch_count(&memory->watch, &own->hazard, own->number, now_of(policy),
        (uint32_t)(horizon >> memory->time_shift), most, &own->census);
}

/* Learn from what was counted, and count on; how often, and for how long that counts, goes by the
 * capacity, because a larger cache asks for later uses. */
static void learn(struct policy *policy)
{
    struct policy_adaptive *own = policy->adaptive;
    float memory_events = (float)MEMORY_CAPACITIES * (float)policy->capacity;
    memory_events = memory_events > (float)MEMORY_LEAST ? memory_events : (float)MEMORY_LEAST;
    count_watched(policy, UINT32_MAX);
    /* 2^-x, for a small x */
    policy_hazard_learn(
        &own->hazard, &own->census.alive, 1.0f - 0.693f * (float)own->events / memory_events);
    policy_watch_adjust(&policy->memory->watch, &own->census);
    memset(&own->census, 0, sizeof own->census);
    own->events = 0;
    uint32_t most = larger(policy->capacity / SEGMENTS_PER_CAPACITY, LEARN_LEAST);
    own->learn_at = own->learn_at < most / 2 ? own->learn_at * 2 : most;
    own->planned = PLAN_MOST;
}

/* One use or commit has passed. */
static void pass_time(struct policy *policy)
{
    struct policy_adaptive *own = policy->adaptive;
    struct policy_memory *memory = policy->memory;
    memory->used++;
    own->events++;
    own->planned++;
    uint32_t now = now_of(policy);
    if ((int32_t)(now - own->shelf.starts[0]) >= (int32_t)width_of(policy)) {
        policy_shelf_cut(&own->shelf, memory->nodes, now);
        own->planned = PLAN_MOST;
    }
    count_watched(policy, policy_watch_entries(&memory->watch) / own->learn_at + 1);
    if (own->events >= own->learn_at) {
        learn(policy);
    }
}

/* Both orders are tried on it; when the better one is another, what was planned is out of date. */
static void ask_referee(struct policy *policy, uint32_t slot, uint8_t class, bool comes)
{
    struct policy_adaptive *own = policy->adaptive;
    if (own->referee == NULL) {
        return;
    }
    struct policy_plan_view view = view_of(policy);
    bool before = own->referee->recency;
    policy_referee_use(
        own->referee, &view, policy->memory->nodes, slot, class, comes, now_of(policy));
    if (own->referee->recency != before) {
        own->planned = PLAN_MOST;
    }
}

/* The block is used now, `gap` after the use before; `comes`: by its commit. */
static void classify(struct policy *policy, uint32_t slot, uint32_t gap, bool comes)
{
    struct policy_adaptive *own = policy->adaptive;
    struct policy_node *node = &policy->memory->nodes[slot];
    uint8_t class = (uint8_t)policy_class_of(node, (uint64_t)gap << policy->memory->time_shift);
    /* Out of reach now, but not for ever: what becomes of it counts like any other block. */
    node->list = node->missing ? POLICY_UNREACHABLE : class;
    node->stamp = now_of(policy);
    own->depths[class] += ((float)node->depth - own->depths[class]) / 64;
    policy_watch_use(
        &policy->memory->watch, &own->hazard, own->number, node->key_hash, class, node->stamp);
    ask_referee(policy, slot, class, comes);
}

static void shelve(struct policy *policy, uint32_t slot, bool newest)
{
    struct policy_node *nodes = policy->memory->nodes;
    nodes[slot].place = POLICY_LISTED;
    policy_shelf_add(&policy->adaptive->shelf, nodes,
        row_of(&nodes[slot], (enum policy_cost)nodes[slot].cost), slot, newest);
}

static void unshelve(struct policy *policy, uint32_t slot, enum policy_cost cost)
{
    struct policy_node *nodes = policy->memory->nodes;
    policy_shelf_remove(&policy->adaptive->shelf, nodes, row_of(&nodes[slot], cost), slot);
}

/* What a newcomer takes after its parent: how deep it is, whether it can be reached, and how often
 * its conversation went on. A parent that was used since it came ended a prompt, if it had no child
 * yet: the newcomer begins the next turn. One that is as new belongs to the same prompt. */
static void descend(struct policy *policy, struct policy_node *node)
{
    node->depth = 0;
    node->turn = 0;
    if (node->parent == POLICY_NONE) {
        return;
    }
    const struct policy_node *parent = &policy->memory->nodes[node->parent];
    node->depth = parent->depth + 1;
    node->missing = parent->missing;
    if (!parent->touched) {
        node->turn = parent->turn;
    } else if (parent->children == 0) {
        node->turn = parent->turn < UINT8_MAX ? (uint8_t)(parent->turn + 1) : UINT8_MAX;
    }
}

static void came(struct policy *policy, uint32_t slot)
{
    if (!policy->adaptive->born) {
        bear(policy);
    }
    struct policy_node *node = &policy->memory->nodes[slot];
    ghost_history_prefetch(&policy->memory->history, node->key_hash);
    policy_watch_prefetch(&policy->memory->watch, node->key_hash);
    pass_time(policy);
    descend(policy, node);
    struct ghost_past past;
    uint32_t gap = 0;
    node->uses = 1;
    node->touched = 0;
    if (ghost_history_take(&policy->memory->history, node->key_hash, &past)) {
        node->reused = 1;
        node->uses = past.uses < USES_MOST ? (uint8_t)(past.uses + 1) : USES_MOST;
        node->turn = past.turn;
        gap = now_of(policy) - past.used_at;
    }
    classify(policy, slot, gap, true);
    shelve(policy, slot, true);
}

static void used(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    bool listed = node->place == POLICY_LISTED;
    pass_time(policy);
    if (listed) {
        unshelve(policy, slot, (enum policy_cost)node->cost);
    }
    node->missing = 0;
    node->touched = 1;
    node->uses = node->uses < USES_MOST ? (uint8_t)(node->uses + 1) : USES_MOST;
    classify(policy, slot, now_of(policy) - node->stamp, false);
    if (listed) {
        shelve(policy, slot, true);
    }
}

static void chosen(struct policy *policy, uint32_t slot)
{
    const struct policy_node *node = &policy->memory->nodes[slot];
    /* Where its ghost will lie; it arrives while the batch is swept. */
    ghost_history_prefetch(&policy->memory->history, node->key_hash);
    if (node->place == POLICY_LISTED) {
        unshelve(policy, slot, (enum policy_cost)node->cost);
    }
}

static void kept(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    node->stamp = now_of(policy);
    node->place = POLICY_PARKED;
    if (node->children == 0) {
        shelve(policy, slot, true);
    }
}

static void evicted(struct policy *policy, uint32_t slot)
{
    const struct policy_node *node = &policy->memory->nodes[slot];
    ghost_history_add(&policy->memory->history, node->key_hash,
        (struct ghost_past){.used_at = node->stamp, .uses = node->uses, .turn = node->turn},
        now_of(policy));
}

static void covered(struct policy *policy, uint32_t slot)
{
    struct policy_node *node = &policy->memory->nodes[slot];
    unshelve(policy, slot, (enum policy_cost)node->cost);
    node->place = POLICY_PARKED;
}

static void bare(struct policy *policy, uint32_t slot)
{
    shelve(policy, slot, false);
}

static void costs(struct policy *policy, uint32_t slot, enum policy_cost before)
{
    if (policy->memory->nodes[slot].place == POLICY_LISTED) {
        unshelve(policy, slot, before);
        shelve(policy, slot, true);
    }
}

static uint32_t make_plan(
    const struct policy *policy, struct policy_plan_step plan[POLICY_PLAN_STEPS])
{
    const struct policy_adaptive *own = policy->adaptive;
    struct policy_plan_view view = view_of(policy);
    view.recency = own->referee != NULL && own->referee->recency;
    return policy_plan_make(&own->shelf, &view, now_of(policy), plan);
}

static uint32_t next(struct policy *policy, uint32_t *passes)
{
    (void)passes;
    struct policy_adaptive *own = policy->adaptive;
    uint32_t ahead = policy->capacity / PLAN_PER_CAPACITY;
    bool fresh = false;
    own->planned++;
    while (own->born) {
        if (own->planned > ahead || own->planned >= PLAN_MOST || own->step == own->steps) {
            if (fresh) {
                break;
            }
            own->steps = (uint8_t)make_plan(policy, own->plan);
            own->step = 0;
            own->planned = 0;
            fresh = true;
            if (own->steps == 0) {
                break;
            }
        }
        const struct policy_plan_step *step = &own->plan[own->step];
        uint32_t slot = own->shelf.ends[step->row][step->column].oldest;
        if (slot != POLICY_NONE) {
            uint32_t after = policy->memory->nodes[slot].newer;
            __builtin_prefetch(&policy->memory->nodes[after != POLICY_NONE ? after : slot], 1, 3);
            return slot;
        }
        own->step++;
    }
    return POLICY_NONE;
}

static uint32_t coming(const struct policy *policy, uint32_t max, uint32_t *out_slots)
{
    const struct policy_node *nodes = policy->memory->nodes;
    const struct policy_shelf *shelf = &policy->adaptive->shelf;
    struct policy_plan_step plan[POLICY_PLAN_STEPS];
    uint32_t steps = policy->adaptive->born ? make_plan(policy, plan) : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t slot = shelf->ends[plan[i].row][plan[i].column].oldest;
        for (; slot != POLICY_NONE && count < max; slot = nodes[slot].newer) {
            uint32_t at = slot;
            /* A leaf's parents follow it, as long as each loses its last child and is of the same
             * kind. */
            while (count < max) {
                out_slots[count++] = at;
                at = policy_parent(policy, at);
                if (at == POLICY_NONE || nodes[at].place != POLICY_PARKED ||
                    nodes[at].children != 1 ||
                    row_of(&nodes[at], (enum policy_cost)nodes[at].cost) != plan[i].row) {
                    break;
                }
            }
        }
    }
    return count;
}

static void resized(struct policy *policy)
{
    struct policy_adaptive *own = policy->adaptive;
    struct policy_memory *memory = policy->memory;
    uint32_t width = width_of(policy);
    own->planned = PLAN_MOST;
    if (own->referee != NULL && policy->capacity > 0) {
        policy_referee_resize(own->referee, policy->capacity, width, now_of(policy));
    } else if (own->referee != NULL) {
        policy_referee_drop(&own->referee);
    } else if (own->born && policy->capacity > 0) {
        own->referee =
            policy_referee_take(memory->referees, policy->capacity, width, now_of(policy));
    }
}

const struct policy_ops policy_adaptive = {
    .name = "adaptive",
    .open = open_policy,
    .came = came,
    .used = used,
    .chosen = chosen,
    .kept = kept,
    .evicted = evicted,
    .covered = covered,
    .bare = bare,
    .costs = costs,
    .next = next,
    .coming = coming,
    .resized = resized,
};
