/* test_blocks_tiers: blocks of host memory and two devices, by random calls, against a plain table.
 *
 * After every step: what pool.h and admit.h promise. A slot in use is of its class's tier and has a
 * place in that tier's memory; every extent is in one list, of its own tier; room made in one tier
 * costs nothing of the other; a key has at most one slot in each tier, each found by its own hint;
 * no pinned block changed, and none went before a child of its tier, unless its extent drained. */
#include "tests/unit/sidecar/block/fixture.h"

#define HOST 5u
#define DEVICES 2u
#define DEVICE 4u /* of each */
#define TIERS (1 + DEVICES)
#define EXTENTS (HOST + DEVICES * DEVICE)
#define PER 16u
#define SLOTS (EXTENTS * PER)
#define KEYS 160u
#define STEPS 40000u
#define SIZES 2u
#define CLASSES (SIZES * TIERS)
#define ANY TIERS
#define SEASON 2500u /* steps in which one size is used; the other one's classes idle */

enum place { FREE = 0, LENT = 1, HOT = 2 };

struct model_slot {
    enum place place;
    uint32_t class;
    uint64_t generation;
    uint32_t key;
    uint32_t parent; /* slot, or HINT_NONE */
};

struct model {
    struct fixture fixture;
    struct evict_sweep sweep;
    struct model_slot slots[SLOTS];
    uint32_t slot_of[KEYS][TIERS]; /* HINT_NONE: not hot there */
    uint32_t classes[CLASSES];
    uint32_t steps;
    uint64_t seed;
};

static uint32_t draw(struct model *model, uint32_t below)
{
    return (uint32_t)(check_random(&model->seed) % below);
}

static uint32_t tier_of(uint32_t slot)
{
    return slot < HOST * PER ? SLOT_TIER_HOST : SLOT_TIER_DEVICE + (slot / PER - HOST) / DEVICE;
}

/* A slot of the table in `place`, or HINT_NONE; looks from a random one on. */
static uint32_t any_slot(struct model *model, enum place place)
{
    uint32_t start = draw(model, SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t slot = (start + i) % SLOTS;
        if (model->slots[slot].place == place) {
            return slot;
        }
    }
    return HINT_NONE;
}

static bool is_pinned(const struct model *model, uint32_t slot)
{
    for (uint32_t i = 0; i < FIXTURE_PINS; i++) {
        if (shared32_load_relaxed(&model->fixture.pins[i]) == slot + 1) {
            return true;
        }
    }
    return false;
}

/* Blocks that were evicted under the model's feet, of this tier alone unless it is ANY. */
static void note_evictions(struct model *model, uint32_t tier)
{
    const struct blocks *blocks = &model->fixture.blocks;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct model_slot *known = &model->slots[slot];
        uint64_t word = slot_load_state(&blocks->index.lines[slot]);
        if (known->place == HOT && slot_state_of(word) == SLOT_FREE) {
            assert_false(is_pinned(model, slot));
            assert_true(tier == ANY || tier == tier_of(slot));
            model->slot_of[known->key][tier_of(slot)] = HINT_NONE;
            known->place = FREE;
        }
        static const enum slot_state wanted[] = {
            [FREE] = SLOT_FREE, [LENT] = SLOT_RESERVED, [HOT] = SLOT_VALID};
        assert_int_equal(slot_state_of(word), wanted[known->place]);
        assert_true(known->place == FREE || slot_generation_of(word) == known->generation);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct model_slot *known = &model->slots[slot];
        if (known->place == HOT && known->parent != HINT_NONE &&
            model->slots[known->parent].place != HOT) {
            const struct pool_extent *extent = &blocks->pool.extents[known->parent / PER];
            assert_true(extent->where == EXTENT_DRAINING || extent->class != known->class);
            known->parent = HINT_NONE;
        }
    }
}

/* Every extent of a list is of the tier, and where the list is. Returns how many there are. */
static uint32_t check_list(const struct pool *pool, const struct pool_list *list,
    enum extent_where where, enum slot_tier tier)
{
    uint32_t count = 0;
    for (uint32_t at = list->first; at != POOL_NONE; at = pool->extents[at].after) {
        const struct pool_extent *extent = &pool->extents[at];
        assert_int_equal(extent->where, where);
        assert_int_equal(pool_extent_tier(pool, at), tier);
        assert_true(where != EXTENT_FREE || extent->used == 0);
        assert_true(where == EXTENT_FREE || pool->classes[extent->class].tier == tier);
        assert_true(where != EXTENT_DRAINING || pool->classes[extent->heir].tier == tier);
        count++;
    }
    assert_int_equal(count, list->count);
    return count;
}

static void check_pool(const struct model *model)
{
    const struct pool *pool = &model->fixture.blocks.pool;
    uint32_t extents[TIERS];
    uint64_t free = 0;
    for (uint32_t tier = 0; tier < TIERS; tier++) {
        const struct pool_side *side = &pool->sides[tier];
        extents[tier] = check_list(pool, &side->free, EXTENT_FREE, (enum slot_tier)tier) +
                        check_list(pool, &side->draining, EXTENT_DRAINING, (enum slot_tier)tier);
    }
    for (uint32_t i = 0; i < pool->class_count; i++) {
        const struct pool_class *class = &pool->classes[i];
        extents[class->tier] += check_list(pool, &class->open, EXTENT_OPEN, class->tier) +
                                check_list(pool, &class->full, EXTENT_FULL, class->tier);
        free += class->free;
    }
    assert_int_equal(extents[SLOT_TIER_HOST], HOST);
    for (uint32_t tier = SLOT_TIER_DEVICE; tier < TIERS; tier++) {
        assert_int_equal(extents[tier], DEVICE);
    }
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_free), free);
}

static void check_slots(const struct model *model)
{
    const struct blocks *blocks = &model->fixture.blocks;
    uint64_t pages[TIERS][HOST * PER] = {{0}};
    uint32_t count[HOT + 1] = {0};
    uint32_t words = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct model_slot *known = &model->slots[slot];
        count[known->place]++;
        if (known->place == FREE) {
            continue;
        }
        const struct pool_class *class = &blocks->pool.classes[known->class];
        assert_int_equal(pool_class_of(&blocks->pool, slot), known->class);
        assert_int_equal(class->tier, tier_of(slot));
        uint64_t offset = pool_offset(&blocks->pool, slot);
        for (uint64_t page = 0; page < class->slot_bytes / 4096; page++) {
            uint64_t at = offset / 4096 + page;
            assert_true(at < pool_tier_extents(&blocks->pool, class->tier) * PER);
            assert_int_equal(pages[tier_of(slot)][at]++, 0);
        }
        struct slot_content content;
        slot_load_place(&blocks->index.lines[slot], &content);
        assert_true(
            known->place == LENT || (content.offset == offset && content.tier == tier_of(slot)));
    }
    for (uint32_t i = 0; i <= blocks->index.hint_mask; i++) {
        for (uint32_t at = 0; at < 8; at++) {
            words += shared64_load_relaxed(&blocks->index.hints[i].word[at]) != 0;
        }
    }
    assert_int_equal(words, count[HOT]);
    assert_int_equal(blocks->space_blocks[1], count[HOT]);
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_hot), count[HOT]);
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_lent), count[LENT]);
}

static void check_key(const struct model *model, uint32_t key)
{
    const uint32_t *slots = model->slot_of[key];
    uint32_t found = fixture_find(&model->fixture, key);
    bool any = false;
    for (uint32_t tier = 0; tier < TIERS; tier++) {
        assert_int_equal(fixture_find_in(&model->fixture, key, (enum slot_tier)tier), slots[tier]);
        any = any || slots[tier] != HINT_NONE;
    }
    assert_int_equal(found != HINT_NONE, any);
    assert_true(!any || found == slots[tier_of(found)]);
    assert_true(slots[SLOT_TIER_HOST] == HINT_NONE || found == slots[SLOT_TIER_HOST]);
}

/* Extents move when loads change. At first all sizes are used. */
static uint32_t size_of(struct model *model)
{
    uint32_t season = model->steps / SEASON;
    return season == 0 ? draw(model, SIZES) : season % SIZES;
}

static void step_take(struct model *model)
{
    struct blocks *blocks = &model->fixture.blocks;
    uint32_t tier = draw(model, TIERS);
    uint32_t class = model->classes[tier * SIZES + size_of(model)];
    uint32_t slot;
    uint64_t generation;
    int status = pool_take(blocks, class, SLOT_RESERVED, &slot, &generation);
    if (status == STATUS_BUSY) {
        uint32_t freed = evict_room(blocks, class, 1 + draw(model, 8), &model->sweep);
        note_evictions(model, tier);
        status = pool_take(blocks, class, SLOT_RESERVED, &slot, &generation);
        assert_int_equal(status, freed > 0 ? STATUS_OK : STATUS_BUSY);
    }
    if (status == STATUS_OK) {
        assert_int_equal(model->slots[slot].place, FREE);
        assert_int_equal(tier_of(slot), tier);
        assert_true(generation > model->slots[slot].generation);
        model->slots[slot] =
            (struct model_slot){.place = LENT, .class = class, .generation = generation};
    }
}

static void step_commit(struct model *model)
{
    uint32_t slot = any_slot(model, LENT);
    if (slot == HINT_NONE) {
        return;
    }
    struct blocks *blocks = &model->fixture.blocks;
    struct model_slot *known = &model->slots[slot];
    uint32_t tier = tier_of(slot);
    /* A key is of one size, in either tier. */
    uint32_t size = (uint32_t)(pool_slot_bytes(&blocks->pool, known->class) / 4096) - 1;
    uint32_t key = draw(model, KEYS / SIZES) * SIZES + size;
    uint32_t above = draw(model, KEYS / SIZES) * SIZES + size;
    struct key parent = fixture_key(above);
    /* The caller's word on place and tier is nothing. */
    struct slot_content content = {.key = fixture_key(key),
        .bytes = 1,
        .space = 1,
        .tier = (uint8_t)draw(model, TIERS + 1),
        .offset = 4096};
    bool duplicate;
    assert_int_equal(
        admit_block(blocks, slot, known->generation, &content, &parent, &duplicate), STATUS_OK);
    assert_int_equal(duplicate, model->slot_of[key][tier] != HINT_NONE);
    if (duplicate) {
        known->place = FREE;
        return;
    }
    uint32_t found = model->slot_of[above][tier];
    known->place = HOT;
    known->key = key;
    known->parent = found != slot ? found : HINT_NONE;
    known->generation++;
    model->slot_of[key][tier] = slot;
}

static void step_pin(struct model *model)
{
    uint32_t record = draw(model, FIXTURE_PINS / 4);
    uint32_t slot = any_slot(model, HOT);
    if (draw(model, 2) == 0 || slot == HINT_NONE) {
        fixture_unpin(&model->fixture, record);
    } else {
        fixture_pin(&model->fixture, record, slot);
    }
}

static void step(struct model *model)
{
    struct blocks *blocks = &model->fixture.blocks;
    uint32_t slot;
    switch (draw(model, 12)) {
    case 0:
        step_pin(model);
        break;
    case 1:
        (void)evict_tick(blocks, &model->sweep);
        break;
    case 2:
        slot = any_slot(model, LENT);
        if (slot != HINT_NONE) {
            pool_give(blocks, slot);
            model->slots[slot].place = FREE;
        }
        break;
    case 3:
    case 4:
        slot = draw(model, SLOTS);
        if (model->slots[slot].class % SIZES == size_of(model)) {
            admit_touch(blocks, slot);
        }
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        step_take(model);
        break;
    default:
        step_commit(model);
        break;
    }
}

static void run_model(enum policy_kind policy, uint64_t seed)
{
    static struct model model;
    model = (struct model){.seed = seed};
    fixture_open_devices(&model.fixture, HOST, DEVICES, DEVICE, PER, policy);
    model.sweep = fixture_sweeper(&model.fixture);
    memset(model.slot_of, 0xff, sizeof model.slot_of);
    for (uint32_t i = 0; i < CLASSES; i++) {
        model.classes[i] =
            fixture_class_in(&model.fixture, (i % SIZES + 1) * 4096, (enum slot_tier)(i / SIZES));
    }
    uint32_t all = 0;
    for (; model.steps < STEPS; model.steps++) {
        step(&model);
        note_evictions(&model, ANY);
        check_pool(&model);
        check_slots(&model);
        uint32_t key = draw(&model, KEYS);
        check_key(&model, key);
        const uint32_t *slots = model.slot_of[key];
        all += slots[0] != HINT_NONE && slots[1] != HINT_NONE && slots[2] != HINT_NONE;
    }
    assert_true(all > 50);
    assert_true(fixture_count(&model.fixture, COUNTER_evictions) > 100);
    assert_true(fixture_count(&model.fixture, COUNTER_victims_pinned) > 10);
    assert_true(fixture_count(&model.fixture, COUNTER_duplicates) > 10);
    assert_true(fixture_count(&model.fixture, COUNTER_extents_moved) > 10);
    fixture_close(&model.fixture);
}

static void test_random_calls_over_three_tiers_against_a_plain_table(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    run_model(POLICY_LRU, seed);
    run_model(POLICY_ARC, seed);
    run_model(POLICY_ADAPTIVE, seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls_over_three_tiers_against_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
