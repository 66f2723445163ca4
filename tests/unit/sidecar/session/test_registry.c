/* registry: a number is one namespace as long as a block or an entry has it; users of different
 * trust share none. */
#include "tests/check.h"

#include "shm/status.h"
#include "sidecar/session/registry.h"

#include <string.h>

static uint32_t hot_blocks[REGISTRY_NUMBER_MAX + 1]; /* of each number, as block/ would count */

static struct space make_space(const char *name, uint32_t layers)
{
    struct space space = {.block_bytes = 4096, .block_tokens = 16, .tp_size = 1, .pp_size = 1};
    (void)snprintf(space.name, sizeof space.name, "%s", name);
    space.layers = layers;
    return space;
}

static int take(struct registry *registry, const char *name, uint32_t layers, uint64_t group,
    uint32_t *out_number, char *why)
{
    struct space space = make_space(name, layers);
    struct registry_entry *entry = NULL;
    int status = registry_take(registry, &space, group, hot_blocks, &entry, why, 256);
    if (status == STATUS_OK) {
        *out_number = entry->number;
    }
    return status;
}

static void equal_namespaces_share_a_number_within_a_group(void **state)
{
    (void)state;
    char why[256] = "";
    struct registry registry;
    uint32_t one = 0;
    uint32_t two = 0;
    uint32_t other = 0;
    assert_int_equal(registry_open(&registry), STATUS_OK);
    assert_int_equal(take(&registry, "a", 1, 0, &one, why), STATUS_OK);
    assert_int_equal(take(&registry, "a", 1, 0, &two, why), STATUS_OK);
    assert_int_not_equal(one, 0);
    assert_int_equal(one, two);
    assert_int_equal(take(&registry, "a", 1, 1001, &other, why), STATUS_OK);
    assert_int_not_equal(other, one);
    registry_close(&registry);
}

static void a_used_name_refuses_what_differs_and_names_the_field(void **state)
{
    (void)state;
    char why[256] = "";
    struct registry registry;
    uint32_t number = 0;
    uint32_t untouched = 42;
    assert_int_equal(registry_open(&registry), STATUS_OK);
    assert_int_equal(take(&registry, "a", 1, 0, &number, why), STATUS_OK);
    assert_int_equal(take(&registry, "a", 2, 0, &untouched, why), STATUS_NAMESPACE);
    assert_int_equal(untouched, 42);
    assert_non_null(strstr(why, "layers"));
    assert_non_null(strstr(why, "'a'"));
    /* The refused one is no user of the name. */
    registry_drop(&registry, number);
    assert_int_equal(registry.entries[0].sessions, 0);
    registry_close(&registry);
}

static void a_free_name_may_change_and_gets_a_number_of_its_own(void **state)
{
    (void)state;
    char why[256] = "";
    struct registry registry;
    uint32_t old = 0;
    uint32_t same = 0;
    uint32_t new = 0;
    assert_int_equal(registry_open(&registry), STATUS_OK);
    assert_int_equal(take(&registry, "a", 1, 0, &old, why), STATUS_OK);
    registry_drop(&registry, old);
    assert_int_equal(take(&registry, "a", 1, 0, &same, why), STATUS_OK);
    assert_int_equal(same, old);
    registry_drop(&registry, same);
    assert_int_equal(take(&registry, "a", 2, 0, &new, why), STATUS_OK);
    assert_int_not_equal(new, old);
    assert_int_equal(registry.count, 1);
    registry_close(&registry);
}

static void a_full_table_takes_the_place_of_an_unused_one(void **state)
{
    (void)state;
    char why[256] = "";
    char name[32];
    struct registry registry;
    uint32_t number = 0;
    uint32_t victim = 0;
    assert_int_equal(registry_open(&registry), STATUS_OK);
    for (uint32_t i = 0; i < REGISTRY_SPACES; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(take(&registry, name, 1, 0, &number, why), STATUS_OK);
        victim = i == 17 ? number : victim;
    }
    assert_int_equal(take(&registry, "one more", 1, 0, &number, why), STATUS_LIMIT);
    assert_non_null(strstr(why, "too many namespaces"));
    registry_drop(&registry, victim);
    assert_int_equal(take(&registry, "one more", 1, 0, &number, why), STATUS_OK);
    assert_int_equal(number, REGISTRY_SPACES + 1);
    registry_close(&registry);
}

static void a_number_comes_again_only_when_no_block_has_it(void **state)
{
    (void)state;
    char why[256] = "";
    struct registry registry;
    uint32_t number = 0;
    assert_int_equal(registry_open(&registry), STATUS_OK);
    for (uint32_t i = 1; i <= REGISTRY_NUMBER_MAX; i++) {
        assert_int_equal(take(&registry, "a", i, 0, &number, why), STATUS_OK);
        assert_int_equal(number, i);
        registry_drop(&registry, number);
        hot_blocks[i] = 1;
    }
    assert_int_equal(take(&registry, "a", 0, 0, &number, why), STATUS_LIMIT);
    /* What has a number keeps it, also without blocks: its entry holds it. */
    hot_blocks[REGISTRY_NUMBER_MAX] = 0;
    assert_int_equal(take(&registry, "b", 1, 0, &number, why), STATUS_LIMIT);
    assert_int_equal(take(&registry, "a", REGISTRY_NUMBER_MAX, 0, &number, why), STATUS_OK);
    assert_int_equal(number, REGISTRY_NUMBER_MAX);
    /* The last block of namespace 7 left the pool, and no entry remembers it. */
    hot_blocks[7] = 0;
    assert_int_equal(take(&registry, "b", 1, 0, &number, why), STATUS_OK);
    assert_int_equal(number, 7);
    memset(hot_blocks, 0, sizeof hot_blocks);
    registry_close(&registry);
    registry_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_namespaces_share_a_number_within_a_group),
        cmocka_unit_test(a_used_name_refuses_what_differs_and_names_the_field),
        cmocka_unit_test(a_free_name_may_change_and_gets_a_number_of_its_own),
        cmocka_unit_test(a_full_table_takes_the_place_of_an_unused_one),
        cmocka_unit_test(a_number_comes_again_only_when_no_block_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
