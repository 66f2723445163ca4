/* adopt: what fits is kept, what does not is garbage, and nothing that is read is given away. */
#include "tests/check.h"

#include "tests/unit/sidecar/block/heir.h"

#define EXTENTS 4u
#define PER 16u
#define SLOTS (EXTENTS * PER)

static struct slot_line *line_of(struct heir *heir, uint32_t slot)
{
    return &heir_blocks(heir)->index.lines[slot];
}

static void test_a_victim_of_the_dead_is_a_block_again(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    uint32_t slot = fixture_commit(&heir.fixture, class, 1, NULL);
    uint64_t before = slot_load_state(line_of(&heir, slot));
    slot_mark(line_of(&heir, slot)); /* killed between V2 and V7 */
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    /* The same generation: references and pins on it stay good. */
    assert_int_equal(slot_load_state(line_of(&heir, slot)), before);
    assert_int_equal(fixture_find(&heir.fixture, 1), slot);
    heir_check(&heir);
    heir_close(&heir);
}

/* Ways to damage the line of a block that was committed. */
enum damage { PLACE, CLASS, BYTES, NO_BYTES, TIER, NO_SPACE, DAMAGES };

static void damage(struct slot_line *line, enum damage how)
{
    uint64_t place = shared64_load_relaxed(&line->place);
    uint64_t shape = shared64_load_relaxed(&line->shape);
    switch (how) {
    case PLACE:
        shared64_store_relaxed(&line->place, place + 4096);
        break;
    case CLASS:
        shared64_store_relaxed(&line->shape, shape + (UINT64_C(1) << 48));
        break;
    case BYTES:
        shared64_store_relaxed(&line->shape, (shape & ~(uint64_t)UINT32_MAX) | 4097);
        break;
    case NO_BYTES:
        shared64_store_relaxed(&line->shape, shape & ~(uint64_t)UINT32_MAX);
        break;
    case TIER:
        shared64_store_relaxed(&line->place, place | UINT64_C(9) << 48);
        break;
    case NO_SPACE:
        shared64_store_relaxed(&line->shape, shape & ~(UINT64_C(0xffff) << 32));
        break;
    case DAMAGES:
        break;
    }
}

static void test_a_line_that_does_not_fit_is_garbage(void **state)
{
    (void)state;
    for (int how = 0; how < DAMAGES; how++) {
        struct heir heir;
        struct adopt_found found;
        heir_open(&heir, EXTENTS, PER, POLICY_LRU);
        uint32_t class = fixture_class(&heir.fixture, 4096);
        uint32_t bad = fixture_commit(&heir.fixture, class, 1, NULL);
        uint32_t good = fixture_commit(&heir.fixture, class, 2, NULL);
        damage(line_of(&heir, bad), (enum damage)how);
        heir_die(&heir);
        assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
        assert_int_equal(found.blocks, 1);
        assert_int_equal(found.dropped, 1);
        assert_int_equal(fixture_find(&heir.fixture, 1), HINT_NONE);
        assert_int_equal(fixture_find(&heir.fixture, 2), good);
        heir_check(&heir);
        heir_close(&heir);
    }
}

static void test_damage_under_a_reader_gives_all_of_it_up(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    uint32_t bad = fixture_commit(&heir.fixture, class, 1, NULL);
    damage(line_of(&heir, bad), PLACE);
    fixture_pin(&heir.fixture, 3, bad);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_MALFORMED);
    heir_close(&heir);
}

static void test_an_unknown_state_or_class_gives_all_of_it_up(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct heir heir;
        struct adopt_found found;
        heir_open(&heir, EXTENTS, PER, POLICY_LRU);
        uint32_t class = fixture_class(&heir.fixture, 4096);
        uint32_t slot = fixture_commit(&heir.fixture, class, 1, NULL);
        if (how == 0) {
            shared64_store_relaxed(&line_of(&heir, slot)->state, slot_word(9, (enum slot_state)77));
        } else if (how == 1) {
            ledger_class(&heir_blocks(&heir)->ledger, slot / PER, 9);
        } else {
            /* In use, but beyond the slots that its class has in an extent. */
            uint32_t large = fixture_class(&heir.fixture, 8 * 4096);
            ledger_class(&heir_blocks(&heir)->ledger, EXTENTS - 1, large);
            slot_reserve(line_of(&heir, SLOTS - 1), SLOT_RESERVED);
        }
        heir_die(&heir);
        assert_int_equal(heir_succeed(&heir, &found), STATUS_MALFORMED);
        heir_close(&heir);
    }
}

/* Write a block a second time, as a server may that was killed in the middle of a move. */
static uint32_t write_double(struct heir *heir, uint32_t class, uint32_t first)
{
    uint32_t slot;
    uint64_t generation;
    struct slot_content content;
    slot_load_place(line_of(heir, first), &content);
    for (uint32_t i = 0; i < 4; i++) {
        content.key.word[i] = shared64_load_relaxed(&line_of(heir, first)->key[i]);
    }
    assert_int_equal(
        pool_take(heir_blocks(heir), class, SLOT_LOADING, &slot, &generation), STATUS_OK);
    content.offset = pool_offset(&heir_blocks(heir)->pool, slot);
    slot_publish(line_of(heir, slot), &content);
    return slot;
}

static void test_of_two_equal_blocks_one_stays(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    uint32_t first = fixture_commit(&heir.fixture, class, 1, NULL);
    uint32_t second = write_double(&heir, class, first);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 1);
    assert_int_equal(found.dropped, 1);
    assert_int_equal(fixture_state(&heir.fixture, second), SLOT_FREE);
    heir_check(&heir);
    heir_close(&heir);
}

static void test_a_double_that_is_read_stays_until_it_ages_out(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    uint32_t first = fixture_commit(&heir.fixture, class, 1, NULL);
    uint32_t second = write_double(&heir, class, first);
    fixture_pin(&heir.fixture, 0, second);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 2);
    assert_int_equal(fixture_state(&heir.fixture, second), SLOT_VALID);
    heir_check(&heir);
    /* Both go like any other block. */
    fixture_unpin(&heir.fixture, 0);
    struct evict_sweep sweep = fixture_sweeper(&heir.fixture);
    uint32_t slots[2] = {first, second};
    policy_choose(&heir_blocks(&heir)->policies[class], first);
    policy_choose(&heir_blocks(&heir)->policies[class], second);
    assert_int_equal(evict_batch(heir_blocks(&heir), class, slots, 2, false, &sweep), 2);
    heir_check(&heir);
    heir_close(&heir);
}

static void test_blocks_that_nobody_can_ask_for_are_dropped(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    fixture_commit(&heir.fixture, class, 1, NULL);
    heir.known[1] = false;
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.blocks, 0);
    assert_int_equal(found.dropped, 1);
    heir_check(&heir);
    heir_close(&heir);
}

static void test_what_was_loading_is_told_apart_by_its_readers(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    uint32_t slots[3];
    uint64_t generation;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(pool_take(heir_blocks(&heir), class, i == 2 ? SLOT_RESERVED : SLOT_LOADING,
                             &slots[i], &generation),
            STATUS_OK);
    }
    ledger_lend(&heir_blocks(&heir)->ledger, slots[2], 5);
    fixture_pin(&heir.fixture, 1, slots[1]);
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    assert_int_equal(found.loading.count, 1);
    assert_int_equal(adopt_pop(heir_blocks(&heir), &found.loading), slots[0]);
    assert_int_equal(found.read.count, 1);
    assert_int_equal(adopt_pop(heir_blocks(&heir), &found.read), slots[1]);
    assert_int_equal(found.lent.count, 1);
    assert_int_equal(adopt_pop(heir_blocks(&heir), &found.lent), slots[2]);
    assert_int_equal(ledger_borrower_of(&heir_blocks(&heir)->ledger, slots[2]), 5);
    heir_check(&heir);
    heir_close(&heir);
}

static void test_hints_are_only_those_of_blocks(void **state)
{
    (void)state;
    struct heir heir;
    struct adopt_found found;
    heir_open(&heir, EXTENTS, PER, POLICY_LRU);
    uint32_t class = fixture_class(&heir.fixture, 4096);
    for (uint64_t i = 0; i < 20; i++) {
        fixture_commit(&heir.fixture, class, i, NULL);
    }
    struct index_view *index = &heir_blocks(&heir)->index;
    struct key key = fixture_key(99);
    assert_true(hint_add(index, &key, HINT_HOT, 7));
    assert_true(hint_add(index, &key, HINT_COLD, 7));
    heir_die(&heir);
    assert_int_equal(heir_succeed(&heir, &found), STATUS_OK);
    uint32_t words = 0;
    for (uint32_t i = 0; i <= index->hint_mask; i++) {
        for (uint32_t at = 0; at < 8; at++) {
            words += shared64_load_relaxed(&index->hints[i].word[at]) != 0;
        }
    }
    assert_int_equal(words, 20);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_not_equal(fixture_find(&heir.fixture, i), HINT_NONE);
    }
    heir_check(&heir);
    heir_close(&heir);
}

/* One random change of what the server left. */
static void scribble(struct heir *heir, uint64_t *random)
{
    uint64_t what = check_random(random);
    uint32_t slot = (uint32_t)(check_random(random) % SLOTS);
    struct slot_line *line = line_of(heir, slot);
    struct ledger *ledger = &heir_blocks(heir)->ledger;
    uint64_t bits = check_random(random) & check_random(random);
    switch (what % 6) {
    case 0:
        shared64_store_relaxed(&line->state, check_random(random) % 4096);
        break;
    case 1:
        shared64_store_relaxed(&line->place, shared64_load_relaxed(&line->place) ^ bits);
        break;
    case 2:
        shared64_store_relaxed(&line->shape, shared64_load_relaxed(&line->shape) ^ bits);
        break;
    case 3:
        shared64_store_relaxed(&ledger->entries[slot].link, check_random(random));
        break;
    case 4:
        shared64_store_relaxed(&ledger->entries[slot].touch, check_random(random));
        break;
    default:
        if (what % 37 == 0) {
            shared64_store_relaxed(&ledger->classes[slot / PER], check_random(random) % 4);
        }
        break;
    }
}

static void test_any_memory_is_recovered_or_refused(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    uint32_t taken = 0;
    for (uint32_t round = 0; round < 2000; round++) {
        struct heir heir;
        struct adopt_found found;
        uint32_t device = round % 3 == 0 ? EXTENTS / 2 : 0;
        heir_open_tiers(
            &heir, EXTENTS - device, device, PER, round % 2 == 0 ? POLICY_LRU : POLICY_ARC);
        uint32_t class = fixture_class(&heir.fixture, 4096);
        uint32_t other =
            device == 0 ? class : fixture_class_in(&heir.fixture, 4096, SLOT_TIER_DEVICE);
        struct key parent = fixture_key(0);
        for (uint64_t i = 0; i < 40; i++) {
            fixture_commit(&heir.fixture, i % 2 == 0 ? class : other, i, i == 0 ? NULL : &parent);
            parent = fixture_key(check_random(&random) % (i + 1));
        }
        for (uint64_t i = check_random(&random) % 8; i > 0; i--) {
            fixture_pin(&heir.fixture, (uint32_t)i, (uint32_t)(check_random(&random) % SLOTS));
        }
        for (uint64_t i = check_random(&random) % 10; i > 0; i--) {
            scribble(&heir, &random);
        }
        heir_die(&heir);
        heir.lost_devices = round % 2 == 0 && device > 0;
        if (heir_succeed(&heir, &found) == STATUS_OK) {
            taken++;
            heir_check(&heir);
            struct evict_sweep sweep = fixture_sweeper(&heir.fixture);
            (void)evict_room(heir_blocks(&heir), class, SLOTS, &sweep);
            (void)evict_room(heir_blocks(&heir), other, SLOTS, &sweep);
            heir_check(&heir);
        }
        heir_close(&heir);
    }
    assert_true(taken > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_victim_of_the_dead_is_a_block_again),
        cmocka_unit_test(test_a_line_that_does_not_fit_is_garbage),
        cmocka_unit_test(test_damage_under_a_reader_gives_all_of_it_up),
        cmocka_unit_test(test_an_unknown_state_or_class_gives_all_of_it_up),
        cmocka_unit_test(test_of_two_equal_blocks_one_stays),
        cmocka_unit_test(test_a_double_that_is_read_stays_until_it_ages_out),
        cmocka_unit_test(test_blocks_that_nobody_can_ask_for_are_dropped),
        cmocka_unit_test(test_what_was_loading_is_told_apart_by_its_readers),
        cmocka_unit_test(test_hints_are_only_those_of_blocks),
        cmocka_unit_test(test_any_memory_is_recovered_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
