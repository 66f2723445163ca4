/* test_blocks: all of block/ together, by random calls, against a plain table of who has what.
 *
 * After every step: a slot is in one place (free, lent, quarantined, hot), its generation never
 * falls, no pinned block changed, no block went before a resident child unless its extent drained,
 * a key has one slot, the gauges agree. */
#include "tests/unit/sidecar/block/fixture.h"

#define EXTENTS 12u
#define PER 32u
#define SLOTS (EXTENTS * PER)
#define KEYS 600u
#define STEPS 60000

enum place { FREE = 0, LENT = 1, HELD = 2, HOT = 3 };

struct model_slot {
    enum place place;
    uint32_t class;
    uint64_t generation; /* when it was lent, or seen last */
    uint64_t key;
    uint32_t parent; /* slot, or HINT_NONE */
};

struct model {
    struct fixture fixture;
    struct evict_sweep sweep;
    struct model_slot slots[SLOTS];
    uint32_t slot_of[KEYS]; /* HINT_NONE: not hot */
    uint32_t classes[3];
    uint64_t now_ns;
    uint64_t seed;
};

static uint32_t draw(struct model *model, uint32_t below)
{
    return (uint32_t)(check_random(&model->seed) % below);
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

/* What changed under the model's feet: blocks that were evicted. Nothing else may have. */
static void note_evictions(struct model *model)
{
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct model_slot *known = &model->slots[slot];
        uint64_t word = slot_load_state(&model->fixture.blocks.index.lines[slot]);
        enum slot_state state = slot_state_of(word);
        assert_true(slot_generation_of(word) >= known->generation);
        if (known->place == HOT && state == SLOT_FREE) {
            assert_false(is_pinned(model, slot));
            model->slot_of[known->key] = HINT_NONE;
            known->place = FREE;
        }
        enum slot_state wanted = known->place == FREE  ? SLOT_FREE
                                 : known->place == HOT ? SLOT_VALID
                                                       : SLOT_RESERVED;
        assert_int_equal(state, wanted);
        if (known->place != FREE) {
            assert_int_equal(slot_generation_of(word), known->generation);
        }
        known->generation = slot_generation_of(word);
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct model_slot *known = &model->slots[slot];
        if (known->place != HOT || known->parent == HINT_NONE) {
            continue;
        }
        if (model->slots[known->parent].place == HOT) {
            continue;
        }
        /* The parent went: only a drained extent's blocks go before their children. */
        const struct pool_extent *extent = &model->fixture.blocks.pool.extents[known->parent / PER];
        assert_true(extent->where == EXTENT_DRAINING || extent->class != known->class);
        known->parent = HINT_NONE;
    }
}

static void check_gauges(const struct model *model)
{
    const struct blocks *blocks = &model->fixture.blocks;
    uint32_t count[4] = {0, 0, 0, 0};
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        count[model->slots[slot].place]++;
    }
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_hot), count[HOT]);
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_lent), count[LENT] + count[HELD]);
    assert_int_equal(blocks->quarantine.count, count[HELD]);
    uint64_t free = 0;
    uint64_t used = 0;
    for (uint32_t i = 0; i < blocks->pool.class_count; i++) {
        free += blocks->pool.classes[i].free;
    }
    for (uint32_t i = 0; i < EXTENTS; i++) {
        used += blocks->pool.extents[i].used;
    }
    assert_int_equal(fixture_count(&model->fixture, COUNTER_slots_free), free);
    assert_int_equal(used, SLOTS - count[FREE]);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        assert_int_equal(blocks->marks[slot], PIN_NONE);
    }
}

static void step_take(struct model *model)
{
    struct blocks *blocks = &model->fixture.blocks;
    uint32_t class = model->classes[draw(model, 3)];
    uint32_t slot;
    uint64_t generation;
    int status = pool_take(blocks, class, SLOT_RESERVED, &slot, &generation);
    if (status == STATUS_BUSY) {
        uint32_t freed = evict_room(blocks, class, 1 + draw(model, 8), &model->sweep);
        note_evictions(model);
        status = pool_take(blocks, class, SLOT_RESERVED, &slot, &generation);
        assert_int_equal(status, freed > 0 ? STATUS_OK : STATUS_BUSY);
    }
    if (status == STATUS_OK) {
        struct model_slot *known = &model->slots[slot];
        assert_int_equal(known->place, FREE);
        assert_false(is_pinned(model, slot));
        assert_true(generation > known->generation);
        *known = (struct model_slot){.place = LENT, .class = class, .generation = generation};
    }
}

static void step_commit(struct model *model)
{
    uint32_t slot = any_slot(model, LENT);
    if (slot == HINT_NONE) {
        return;
    }
    struct model_slot *known = &model->slots[slot];
    /* A key belongs to one namespace, hence to one class. */
    uint64_t key = draw(model, KEYS / 3) * 3 + known->class % 3;
    uint32_t other = any_slot(model, HOT);
    bool with_parent = other != HINT_NONE && draw(model, 2) == 0;
    struct key parent = fixture_key(with_parent ? model->slots[other].key : KEYS);
    struct slot_content content = {.key = fixture_key(key), .bytes = 1, .space = 1};
    bool duplicate;
    assert_int_equal(
        admit_block(&model->fixture.blocks, slot, known->generation, &content, &parent, &duplicate),
        STATUS_OK);
    assert_int_equal(duplicate, model->slot_of[key] != HINT_NONE);
    if (duplicate) {
        known->place = FREE;
        return;
    }
    bool linked = with_parent && model->slots[other].class == known->class;
    known->place = HOT;
    known->key = key;
    known->parent = linked ? other : HINT_NONE;
    known->generation++;
    model->slot_of[key] = slot;
}

static void step_pin(struct model *model)
{
    uint32_t record = draw(model, FIXTURE_PINS / 2);
    uint32_t slot = any_slot(model, HOT);
    if (draw(model, 2) == 0 || slot == HINT_NONE) {
        fixture_unpin(&model->fixture, record);
    } else {
        fixture_pin(&model->fixture, record, slot);
    }
}

static void step_home(struct model *model)
{
    uint32_t slot = any_slot(model, LENT);
    if (slot != HINT_NONE && draw(model, 2) == 0) {
        pool_give(&model->fixture.blocks, slot);
        model->slots[slot].place = FREE;
    } else if (slot != HINT_NONE) {
        quarantine_put(&model->fixture.blocks, slot, model->now_ns);
        model->slots[slot].place = HELD;
    }
    model->now_ns += draw(model, 100);
    quarantine_tick(&model->fixture.blocks, model->now_ns);
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (model->slots[i].place == HELD && fixture_state(&model->fixture, i) == SLOT_FREE) {
            assert_true(model->fixture.blocks.quarantine.until_ns[i] <= model->now_ns);
            model->slots[i].place = FREE;
        }
    }
}

static void run_model(enum policy_kind policy, uint64_t seed)
{
    static struct model model;
    model = (struct model){.seed = seed};
    fixture_open(&model.fixture, EXTENTS, PER, policy);
    model.sweep = fixture_sweeper(&model.fixture);
    for (uint32_t i = 0; i < KEYS; i++) {
        model.slot_of[i] = HINT_NONE;
    }
    for (uint32_t i = 0; i < 3; i++) {
        model.classes[i] = fixture_class(&model.fixture, (i + 1) * 4096);
    }
    for (int step = 0; step < STEPS; step++) {
        switch (draw(&model, 10)) {
        case 0:
            step_pin(&model);
            break;
        case 1:
            step_home(&model);
            break;
        case 2:
            evict_tick(&model.fixture.blocks, &model.sweep);
            break;
        case 3:
        case 4:
            admit_touch(&model.fixture.blocks, draw(&model, SLOTS));
            break;
        case 5:
        case 6:
        case 7:
            step_take(&model);
            break;
        default:
            step_commit(&model);
            break;
        }
        note_evictions(&model);
        check_gauges(&model);
        uint32_t key = draw(&model, KEYS);
        assert_int_equal(fixture_find(&model.fixture, key), model.slot_of[key]);
    }
    assert_true(fixture_count(&model.fixture, COUNTER_evictions) > 100);
    assert_true(fixture_count(&model.fixture, COUNTER_victims_pinned) > 10);
    assert_true(fixture_count(&model.fixture, COUNTER_duplicates) > 10);
    assert_true(fixture_count(&model.fixture, COUNTER_extents_moved) > 0);
    fixture_close(&model.fixture);
}

static void test_random_calls_against_a_plain_table(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    run_model(POLICY_ARC, seed);
    run_model(POLICY_LRU, seed);
}

static void test_sizes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_int_equal(blocks_slots(1 << 20, 0, 0, 1 << 16, 4096), 256);
    assert_int_equal(blocks_slots(1 << 20, 0, 0, 1 << 16, 1000), 0);
    assert_int_equal(blocks_slots(1 << 20, 0, 0, 3 * 4096, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, 0, 0, 3 * 4096, 8192), 0);
    assert_int_equal(blocks_slots(0, 0, 0, 4096, 4096), 0);
    assert_int_equal(blocks_slots(UINT64_C(1) << 50, 0, 0, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, 1 << 17, 1, 1 << 16, 4096), 256 + 32);
    assert_int_equal(blocks_slots(1 << 20, (1 << 17) + 4096, 1, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, UINT64_C(1) << 50, 1, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(UINT64_C(1) << 41, UINT64_C(1) << 41, 1, 1 << 16, 4096), 1 << 30);
    assert_int_equal(
        blocks_slots(UINT64_C(1) << 41, (UINT64_C(1) << 41) + (1 << 16), 1, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(0, 1 << 20, 1, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, 1 << 17, SLOT_DEVICES, 1 << 16, 4096), 256 + 16 * 32);
    assert_int_equal(blocks_slots(1 << 20, 1 << 17, SLOT_DEVICES + 1, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, 1 << 17, 0, 1 << 16, 4096), 0);
    assert_int_equal(blocks_slots(1 << 20, 0, 1, 1 << 16, 4096), 0);

    uint64_t bytes = layout_index_bytes(256, 0);
    void *index = aligned_alloc(LAYOUT_PAGE_BYTES, bytes);
    assert_non_null(index);
    memset(index, 0, bytes);
    struct blocks_limits limits = {.pool_bytes = 1 << 20,
        .extent_bytes = 1 << 16,
        .slot_bytes_min = 8192,
        .claims = {.sessions_max = 1, .claims_max = 1, .waiters_max = 1}};
    struct blocks blocks = {0};
    assert_int_equal(blocks_open(&blocks, &limits, index, bytes), STATUS_VERSION);
    layout_index_init(index, 256, 0, 1 << 20, 1);
    assert_int_equal(blocks_open(&blocks, &limits, index, bytes), STATUS_INVALID);
    limits.slot_bytes_min = 4096;
    assert_int_equal(blocks_open(&blocks, &limits, index, bytes), STATUS_OK);
    blocks_close(&blocks);
    blocks_close(&blocks);
    blocks_close(NULL);
    free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_calls_against_a_plain_table),
        cmocka_unit_test(test_sizes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
