/* test_policy_referee: the better order is found, again after a change, and not by chance. */
#include "sidecar/block/policy_referee.h"

#include "sidecar/block/policy_adaptive.h"
#include "tests/unit/sidecar/block/policy_world.h"

#include <stdlib.h>

#define SLOTS 256u
#define KEYS (1u << 22)
/* What the referee may take to see that the load is another: README, decision 27. */
#define SEEN_IN 200000u

#define SESSIONS 24u
#define SESSION_MOST 256u

struct session {
    uint32_t key;
    uint32_t count; /* 0: it begins anew */
    uint32_t at; /* when it asks next */
};

/* A cache over keys; keys of a prompt are numbered one after the other. */
struct cache {
    struct policy_world world;
    uint64_t random;
    uint32_t slot_of[KEYS];
    uint32_t key_of[SLOTS];
    struct session sessions[SESSIONS];
    uint32_t used;
    uint32_t next_key;
    uint32_t uses;
    uint32_t hits;
};

static struct cache *cache_open(uint64_t seed)
{
    struct cache *cache = calloc(1, sizeof *cache);
    assert_non_null(cache);
    cache->random = seed;
    cache->next_key = 8 * 16;
    for (uint32_t key = 0; key < KEYS; key++) {
        cache->slot_of[key] = POLICY_NONE;
    }
    policy_world_open(&cache->world, POLICY_ADAPTIVE, SLOTS, SLOTS);
    return cache;
}

static void cache_close(struct cache *cache)
{
    arena_close(&cache->world.arena);
    free(cache);
}

static uint32_t free_slot(struct cache *cache)
{
    if (cache->used < SLOTS) {
        return cache->used++;
    }
    uint32_t slot;
    assert_int_equal(policy_victims(&cache->world.policy, 1, &slot), 1);
    policy_evicted(&cache->world.policy, slot);
    cache->slot_of[cache->key_of[slot]] = POLICY_NONE;
    return slot;
}

/* A prompt: `count` keys from `key` on. */
static void ask(struct cache *cache, uint32_t key, uint32_t count)
{
    assert_true(key + count <= KEYS);
    struct policy *policy = &cache->world.policy;
    cache->uses += count;
    for (uint32_t run = 0; run < count && cache->slot_of[key + run] != POLICY_NONE; run++) {
        cache->hits++;
    }
    for (uint32_t i = count; i-- > 0;) {
        if (cache->slot_of[key + i] != POLICY_NONE) {
            policy_touch(policy, cache->slot_of[key + i]);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cache->slot_of[key + i] != POLICY_NONE) {
            continue;
        }
        uint32_t slot = free_slot(cache);
        uint32_t parent = i == 0 ? POLICY_NONE : cache->slot_of[key + i - 1];
        uint64_t hash = key + i;
        policy_insert(policy, slot, check_random(&hash),
            i > 0 && parent == POLICY_NONE ? POLICY_MISSING : parent);
        cache->slot_of[key + i] = slot;
        cache->key_of[slot] = key + i;
    }
}

/* For `uses`: a few prompts come again and again, with a scan between that is longer than the cache
 * lasts. LRU hits nothing. */
static void favour_learned(struct cache *cache, uint32_t uses)
{
    for (uint32_t end = cache->uses + uses, i = 0; cache->uses < end; i++) {
        ask(cache, i % 8 * 16, 16);
        ask(cache, cache->next_key, 48);
        cache->next_key += 48;
    }
}

/* From next to nothing to a thousand; mostly short. */
static uint32_t pause(struct cache *cache)
{
    uint32_t least = 1000;
    for (uint32_t i = 0; i < 3; i++) {
        least = least * (1 + (uint32_t)(check_random(&cache->random) % 1000)) / 1000;
    }
    return least + 1;
}

/* For `uses`: sessions that ask in bursts, grow, and die some day. All blocks are alike. */
static void favour_recency(struct cache *cache, uint32_t uses)
{
    for (uint32_t end = cache->uses + uses; cache->uses < end;) {
        struct session *next = &cache->sessions[0];
        for (uint32_t i = 1; i < SESSIONS; i++) {
            next = cache->sessions[i].at < next->at ? &cache->sessions[i] : next;
        }
        if (next->count == 0 || next->count > SESSION_MOST - 4) {
            next->key = cache->next_key;
            next->count = 8 + (uint32_t)(check_random(&cache->random) % 23);
            cache->next_key += SESSION_MOST;
        }
        ask(cache, next->key, next->count);
        next->at += pause(cache);
        bool dies = check_random(&cache->random) % 60 == 0;
        next->count = dies ? 0 : next->count + 1 + (uint32_t)(check_random(&cache->random) % 4);
    }
}

/* For `uses`: prompts of which any may be next. No order is better than another. */
static void favour_nothing(struct cache *cache, uint32_t uses)
{
    for (uint32_t end = cache->uses + uses; cache->uses < end;) {
        ask(cache, (uint32_t)(check_random(&cache->random) % 64) * 16, 16);
    }
}

static const struct policy_referee *referee_of(const struct cache *cache)
{
    return cache->world.policy.adaptive->referee;
}

static void test_the_better_order_is_found_again_after_a_change(void **state)
{
    (void)state;
    struct cache *cache = cache_open(20261124);
    print_message("seed %llu\n", (unsigned long long)cache->random);
    for (uint32_t round = 0; round < 2; round++) {
        favour_learned(cache, 2 * SEEN_IN);
        assert_false(referee_of(cache)->recency);
        uint32_t begun = cache->uses;
        while (!referee_of(cache)->recency && cache->uses - begun < SEEN_IN) {
            favour_recency(cache, 1000);
        }
        print_message("by the last use after %u uses, ", cache->uses - begun);
        assert_true(referee_of(cache)->recency);
        favour_recency(cache, 2 * SEEN_IN);
        begun = cache->uses;
        while (referee_of(cache)->recency && cache->uses - begun < SEEN_IN) {
            favour_learned(cache, 1000);
        }
        print_message("as learned after %u\n", cache->uses - begun);
        assert_false(referee_of(cache)->recency);
    }
    cache_close(cache);
}

static void test_chance_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct cache *cache = cache_open(seed);
        favour_nothing(cache, 10 * SEEN_IN);
        print_message(
            "seed %llu: %u changes\n", (unsigned long long)seed, referee_of(cache)->switches);
        assert_in_range(referee_of(cache)->switches, 0, 10);
        cache_close(cache);
    }
}

static void test_a_cache_beyond_the_shadows_is_sampled(void **state)
{
    (void)state;
    struct policy_world world;
    policy_world_open(&world, POLICY_ADAPTIVE, 4 * POLICY_SHADOW_MOST, 4 * POLICY_SHADOW_MOST);
    policy_insert(&world.policy, 0, 0, POLICY_NONE);
    const struct policy_referee *referee = world.policy.adaptive->referee;
    assert_int_equal(referee->path.shift, 2);
    assert_int_equal(referee->learned.capacity, POLICY_SHADOW_MOST);
    /* Half of it: the same sample; an eighth: all keys again. */
    policy_resize(&world.policy, 2 * POLICY_SHADOW_MOST);
    assert_int_equal(referee->path.shift, 2);
    assert_int_equal(referee->recent.capacity, POLICY_SHADOW_MOST / 2);
    policy_resize(&world.policy, POLICY_SHADOW_MOST / 2);
    assert_int_equal(referee->path.shift, 0);
    assert_int_equal(referee->recent.capacity, POLICY_SHADOW_MOST / 2);
    arena_close(&world.arena);
}

static void test_classes_in_use_have_referees_as_far_as_they_go(void **state)
{
    (void)state;
    struct policy_world world;
    struct policy policies[POLICY_REFEREES + 1];
    policy_world_open(&world, POLICY_ADAPTIVE, 64, 4);
    for (uint32_t i = 0; i <= POLICY_REFEREES; i++) {
        policy_open(&policies[i], &world.memory);
        policy_resize(&policies[i], 4);
        assert_null(policies[i].adaptive->referee);
        policy_insert(&policies[i], i, i, POLICY_NONE);
        assert_true((policies[i].adaptive->referee != NULL) == (i < POLICY_REFEREES));
    }
    /* A class that lost its last extent gives its own back, for one that grows later. */
    policy_remove(&policies[0], 0);
    policy_resize(&policies[0], 0);
    assert_null(policies[0].adaptive->referee);
    policy_resize(&policies[POLICY_REFEREES], 8);
    assert_non_null(policies[POLICY_REFEREES].adaptive->referee);
    arena_close(&world.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_better_order_is_found_again_after_a_change),
        cmocka_unit_test(test_chance_changes_nothing),
        cmocka_unit_test(test_a_cache_beyond_the_shadows_is_sampled),
        cmocka_unit_test(test_classes_in_use_have_referees_as_far_as_they_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
