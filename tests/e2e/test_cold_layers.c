/* test_cold_layers: the first layers of cold blocks are read while the others are still coming. */
#include "tests/check.h"
#include "tests/e2e/cold_scene.h"

#include <string.h>

#define LAYERS 8u
#define LAYER_BYTES (WORKER_BLOCK_BYTES * 2)
#define BLOCK_BYTES (LAYERS * LAYER_BYTES) /* 1 MiB: eight parts */
#define PREFIX 6u
#define FETCH_NS INT64_C(10000000000)

static cistern_t *open_layered(struct child_page *page, const char *socket)
{
    struct cistern_namespace space = {
        .size = sizeof space,
        .block_tokens = 16,
        .block_bytes = BLOCK_BYTES,
        .name = "layers",
        .dtype = "float16",
        .layout = "layers,kv,tokens,heads,head_size",
        .layers = LAYERS,
    };
    struct cistern_options options = {.size = sizeof options,
        .space = &space,
        .socket_path = socket,
        .threads_max = 1,
        .timeout_ns = WORKER_WAIT_NS};
    cistern_t *handle = NULL;
    int status = cistern_open(&options, &handle);
    child_need(
        page, status == CISTERN_OK, "open: %s: %s", cistern_status_name(status), cistern_why());
    return handle;
}

static void put(struct child_page *page, cistern_t *handle, uint64_t number, bool first)
{
    static char block[BLOCK_BYTES];
    struct cistern_key key = worker_key(number);
    struct cistern_key parent = worker_key(number - 1);
    worker_fill(block, sizeof block, number);
    int status = CISTERN_BUSY;
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    while (status == CISTERN_BUSY && child_now_ns() < deadline) {
        status = cistern_put(handle, &key, first ? NULL : &parent, block, sizeof block);
    }
    child_need(
        page, status == CISTERN_OK, "put: %s: %s", cistern_status_name(status), cistern_why());
    (void)cistern_flush(handle, WORKER_WAIT_NS);
}

/* Commit other blocks until no block of the prefix is hot any more. */
static void cool(struct child_page *page, cistern_t *handle, const struct gauge *gauge,
    const struct cistern_key *keys)
{
    struct cistern_match match = {.size = sizeof match, .hot = 1};
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    for (uint64_t filler = 1000; match.hot > 0 || match.cold < PREFIX; filler++) {
        child_need(page, child_now_ns() < deadline, "%u blocks stay hot, %u are cold", match.hot,
            match.cold);
        put(page, handle, filler, true);
        child_need(page, gauge_becomes(gauge, COUNTER_spills_refused, 0), "a full queue");
        child_nap();
        int status = cistern_match(handle, keys, PREFIX, &match);
        child_need(page, status == CISTERN_OK, "match: %s", cistern_status_name(status));
    }
}

#define COUNT(name) (unsigned long long)gauge_get(gauge, COUNTER_##name)

static void read_first_layers(struct child_page *page, cistern_t *handle, const struct gauge *gauge,
    const struct cistern_key *keys)
{
    struct cistern_view views[PREFIX];
    size_t count = 0;
    int status = cistern_fetch_layers(handle, keys, PREFIX, 2, FETCH_NS, views, &count);
    child_need(page, status == CISTERN_OK && count == PREFIX, "fetch_layers: %s: %s, %zu blocks",
        cistern_status_name(status), cistern_why(), count);
    for (uint64_t i = 0; i < PREFIX; i++) {
        child_need(page, views[i].bytes >= 2 * LAYER_BYTES, "%llu bytes of block %llu",
            (unsigned long long)views[i].bytes, (unsigned long long)i);
        child_need(page, worker_is_right(views[i].data, 2 * LAYER_BYTES, i + 1),
            "wrong bytes in the first layers of block %llu", (unsigned long long)i);
    }
    /* The rest joins what is under way already, and the views stay as they are. */
    size_t hot = 0;
    status = cistern_fetch(handle, keys, PREFIX, FETCH_NS, &hot);
    child_need(page, status == CISTERN_OK && hot == PREFIX,
        "fetch: %s, %zu blocks; missed %llu, late %llu, refused %llu, corrupt %llu, errors %llu, "
        "holds expired %llu, evictions %llu",
        cistern_status_name(status), hot, COUNT(fetches_missed), COUNT(fetches_late),
        COUNT(fetches_refused), COUNT(tier_corrupt), COUNT(tier_errors), COUNT(holds_expired),
        COUNT(evictions));
    for (uint64_t i = 0; i < PREFIX; i++) {
        child_need(page, worker_is_right(views[i].data, 2 * LAYER_BYTES, i + 1),
            "the first layers of block %llu changed", (unsigned long long)i);
    }
    status = cistern_release(handle, views, PREFIX);
    child_need(page, status == CISTERN_OK, "release: %s", cistern_status_name(status));
}

static int layers_first(void *context, struct child_page *page)
{
    struct cold_scene *scene = context;
    cistern_t *handle = open_layered(page, scene->daemon.socket);
    struct gauge gauge;
    struct cistern_key keys[PREFIX];
    child_need(page, gauge_open(&gauge, scene->daemon.socket), "no gauge");
    for (uint64_t i = 0; i < PREFIX; i++) {
        keys[i] = worker_key(i + 1);
        put(page, handle, i + 1, i == 0);
    }
    cool(page, handle, &gauge, keys);
    read_first_layers(page, handle, &gauge, keys);
    struct cistern_view views[PREFIX];
    size_t count = 0;
    int status = cistern_acquire(handle, keys, PREFIX, views, &count);
    child_need(page, status == CISTERN_OK && count == PREFIX, "acquire: %s, %zu blocks",
        cistern_status_name(status), count);
    for (uint64_t i = 0; i < PREFIX; i++) {
        child_need(page,
            views[i].bytes == BLOCK_BYTES && worker_is_right(views[i].data, BLOCK_BYTES, i + 1),
            "block %llu is wrong", (unsigned long long)i);
    }
    status = cistern_release(handle, views, count);
    child_need(page, status == CISTERN_OK, "release: %s", cistern_status_name(status));
    struct cistern_stats stats = {.size = sizeof stats};
    child_need(page, cistern_stats(handle, &stats) == CISTERN_OK && stats.violations == 0, "stats");
    gauge_close(&gauge);
    cistern_close(&handle);
    return 0;
}

static void test_first_layers_come_first(void **state)
{
    (void)state;
    const char *ios[] = {"uring", "threads"};
    for (size_t i = 0; i < CHECK_COUNT(ios); i++) {
        struct cold_scene scene;
        assert_true(cold_open(&scene, ios[i], NULL));
        assert_int_equal(child_run(layers_first, &scene), 0);
        struct gauge gauge;
        assert_true(gauge_open(&gauge, scene.daemon.socket));
        assert_true(gauge_get(&gauge, COUNTER_fetches) >= PREFIX);
        assert_int_equal(gauge_get(&gauge, COUNTER_tier_corrupt), 0);
        assert_true(gauge_becomes(&gauge, COUNTER_fetches_now, 0));
        assert_true(gauge_becomes(&gauge, COUNTER_holds_now, 0));
        gauge_close(&gauge);
        assert_true(daemon_stop(&scene.daemon));
        cold_close(&scene);
    }
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_layers_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
