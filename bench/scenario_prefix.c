/* scenario_prefix: the longest prefix of 131,072 tokens, all of it hot.
 *
 * Hashing is cistern_keys(). Lookup is what an engine does next: cistern_match(), then
 * cistern_acquire() of the whole prefix, then cistern_release(); each is timed, and their sum is
 * the figure. Floors: OpenSSL's own chain; independent loads from tables of the index's size.
 */
#include "bench/scenario.h"

#include "bench/client.h"
#include "bench/clock.h"
#include "bench/daemon.h"
#include "bench/floor.h"
#include "bench/floor_hash.h"
#include "bench/rng.h"
#include "bench/table.h"

#include <stdlib.h>

#define TOKENS 131072u
#define BLOCK_TOKENS 16u
#define BLOCKS (TOKENS / BLOCK_TOKENS)
#define BLOCK_BYTES 4096u
#define POOL_BYTES (UINT64_C(256) << 20) /* a client may pin an eighth of it */
#define ROUNDS 20u /* a run */
#define WAIT_NS (10 * CLOCK_NS_PER_S)

struct prefix {
    const struct options *options;
    struct pin_cpu_plan plan;
    struct daemon daemon;
    cistern_t *handle;
    uint32_t *tokens;
    struct cistern_key *keys;
    struct cistern_view *views;
    struct floor_tables floor;
    /* Samples: ns a block. */
    struct stats hash, match, acquire, release, lookup, hash_floor, load_floor;
};

static bool fill(struct prefix *prefix)
{
    size_t count;
    int status = cistern_keys(prefix->handle, NULL, prefix->tokens, TOKENS, prefix->keys, &count);
    if (status != CISTERN_OK || count != BLOCKS) {
        return client_failed("keys", status);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        uint64_t word = i;
        status = cistern_put(prefix->handle, &prefix->keys[i], i == 0 ? NULL : &prefix->keys[i - 1],
            &word, sizeof word);
        if (status != CISTERN_OK) {
            return client_failed("put", status);
        }
    }
    status = cistern_flush(prefix->handle, WAIT_NS);
    return status == CISTERN_OK || client_failed("flush", status);
}

static bool prepare(struct prefix *prefix, struct report *report)
{
    const struct options *options = prefix->options;
    size_t room = (size_t)options->runs * ROUNDS;
    struct stats *all[] = {&prefix->hash, &prefix->match, &prefix->acquire, &prefix->release,
        &prefix->lookup, &prefix->hash_floor, &prefix->load_floor};
    bool good = true;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        good = stats_open(all[i], room) && good;
    }
    prefix->tokens = malloc(TOKENS * sizeof prefix->tokens[0]);
    prefix->keys = malloc(BLOCKS * sizeof prefix->keys[0]);
    prefix->views = malloc(BLOCKS * sizeof prefix->views[0]);
    if (!good || prefix->tokens == NULL || prefix->keys == NULL || prefix->views == NULL) {
        fputs("cistern-bench: out of memory\n", stderr);
        return false;
    }
    uint64_t state = options->seed;
    for (size_t i = 0; i < TOKENS; i++) {
        prefix->tokens[i] = (uint32_t)rng_below(&state, 128000);
    }
    pin_cpu_plan(options, &prefix->plan);
    report_cores(report, &prefix->plan);
    if (!daemon_start(options, POOL_BYTES, BLOCK_BYTES, prefix->plan.server, &prefix->daemon)) {
        return false;
    }
    struct client_settings settings = {.socket_path = prefix->daemon.socket_path,
        .name = "bench-prefix",
        .block_tokens = BLOCK_TOKENS,
        .block_bytes = BLOCK_BYTES,
        .pins_per_thread = BLOCKS,
        .grants_ahead = 64};
    return client_open(&settings, &prefix->handle) && fill(prefix) &&
           floor_tables_open(&prefix->floor, POOL_BYTES / BLOCK_BYTES);
}

static void add(struct stats *stats, int64_t start, int64_t end)
{
    stats_add(stats, (double)(end - start) / BLOCKS);
}

static bool run_round(struct prefix *prefix)
{
    size_t count = 0;
    struct cistern_match match = {.size = sizeof match};
    int64_t at[5];
    at[0] = clock_now_ns();
    int status = cistern_keys(prefix->handle, NULL, prefix->tokens, TOKENS, prefix->keys, &count);
    at[1] = clock_now_ns();
    if (status != CISTERN_OK) {
        return client_failed("keys", status);
    }
    status = cistern_match(prefix->handle, prefix->keys, BLOCKS, &match);
    at[2] = clock_now_ns();
    if (status != CISTERN_OK) {
        return client_failed("match", status);
    }
    status = cistern_acquire(prefix->handle, prefix->keys, match.hot, prefix->views, &count);
    at[3] = clock_now_ns();
    if (status != CISTERN_OK || match.hot != BLOCKS || count != BLOCKS) {
        fprintf(stderr, "cistern-bench: %u blocks matched and %zu pinned of %u\n", match.hot, count,
            BLOCKS);
        return client_failed("acquire", status);
    }
    status = cistern_release(prefix->handle, prefix->views, count);
    at[4] = clock_now_ns();
    if (status != CISTERN_OK) {
        return client_failed("release", status);
    }
    add(&prefix->hash, at[0], at[1]);
    add(&prefix->match, at[1], at[2]);
    add(&prefix->acquire, at[2], at[3]);
    add(&prefix->release, at[3], at[4]);
    add(&prefix->lookup, at[1], at[4]);
    return true;
}

static bool run_floors(struct prefix *prefix)
{
    double ns;
    if (!floor_hash_ns(prefix->tokens, BLOCK_TOKENS, BLOCKS, &ns)) {
        return false;
    }
    stats_add(&prefix->hash_floor, ns);
    double sum = 0;
    for (size_t at = 0; at + FLOOR_BATCH <= BLOCKS; at += FLOOR_BATCH) {
        sum += floor_independent_ns(&prefix->floor, &prefix->keys[at]);
    }
    stats_add(&prefix->load_floor, sum / BLOCKS);
    return true;
}

static void publish(struct prefix *prefix, struct report *report)
{
    struct table table;
    double hash_floor = stats_median(&prefix->hash_floor);
    double load_floor = stats_median(&prefix->load_floor);
    fprintf(report->people, "\nprefix: %u tokens, %u blocks of %u tokens, all hot; ns a block\n\n",
        TOKENS, BLOCKS, BLOCK_TOKENS);
    table_start(&table, "what", "floor");
    table_measure(&table, "hashing (cistern_keys)", "≤ 110 ns", "ns", stats_median(&prefix->hash),
        hash_floor);
    table_measure(&table, "lookup (match + acquire + release)", "≤ 60 ns", "ns",
        stats_median(&prefix->lookup), load_floor);
    table_measure(&table, "    match", "", "ns", stats_median(&prefix->match), 0);
    table_measure(&table, "    acquire", "", "ns", stats_median(&prefix->acquire), 0);
    table_measure(&table, "    release", "", "ns", stats_median(&prefix->release), 0);
    table_print(&table, report->people);
    fputs("\n  floors: OpenSSL's own chain (template copy); loads from tables of the index's size, "
          "64 in flight\n",
        report->people);
    cJSON *root = report->root;
    report_number(root, "tokens", TOKENS);
    report_number(root, "block_tokens", BLOCK_TOKENS);
    report_number(root, "blocks", BLOCKS);
    report_number(root, "runs", (double)prefix->options->runs);
    report_number(root, "hash_ns_per_block", stats_median(&prefix->hash));
    report_number(root, "floor_hash_ns_per_block", hash_floor);
    report_number(root, "lookup_ns_per_block", stats_median(&prefix->lookup));
    report_number(root, "floor_lookup_ns_per_block", load_floor);
    report_number(root, "match_ns_per_block", stats_median(&prefix->match));
    report_number(root, "acquire_ns_per_block", stats_median(&prefix->acquire));
    report_number(root, "release_ns_per_block", stats_median(&prefix->release));
    report_number(root, "p99_lookup_ns_per_block", stats_percentile(&prefix->lookup, 99));
}

bool scenario_prefix(const struct options *options, struct report *report)
{
    struct prefix prefix = {.options = options};
    bool good = prepare(&prefix, report);
    if (good) {
        pin_cpu(prefix.plan.client);
    }
    for (uint64_t i = 0; good && i < options->runs * ROUNDS; i++) {
        good = run_round(&prefix) && run_floors(&prefix);
    }
    if (good) {
        publish(&prefix, report);
    }
    struct stats *all[] = {&prefix.hash, &prefix.match, &prefix.acquire, &prefix.release,
        &prefix.lookup, &prefix.hash_floor, &prefix.load_floor};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        stats_close(all[i]);
    }
    cistern_close(&prefix.handle);
    daemon_stop(&prefix.daemon);
    floor_tables_close(&prefix.floor);
    free(prefix.tokens);
    free(prefix.keys);
    free(prefix.views);
    return good;
}
