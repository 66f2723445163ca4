/* naive_map: thousands of random operations of five handles on two namespaces, against a plain map.
 *
 * One thread drives trusted and isolated handles of a real sidecar. With a pool that is larger than
 * everything the two must agree to the letter; with a small one a block may be gone, but never
 * wrong, and never under a view. The seed is printed; CISTERN_SEED replays the same operations.
 */
#include "tests/check.h"
#include "tests/e2e/game.h"

#include <string.h>

#define STEPS 10000u

static void commit(struct game *game, struct actor *actor, struct cistern_slot *slot, uint32_t key)
{
    struct cistern_key name = naive_key(key);
    struct cistern_key parent = naive_key(game_draw(game, game->keys));
    uint64_t number = ++game->commit;
    naive_fill(slot->data, actor->space, key, number, GAME_BLOCK_BYTES);
    assert_int_equal(
        cistern_commit(actor->handle, slot, &name, game_draw(game, 2) == 0 ? &parent : NULL,
            naive_bytes(number, GAME_BLOCK_BYTES)),
        CISTERN_OK);
    game_flush(actor);
    naive_commit(&game->naive, actor->space, key, number);
}

static void do_put(struct game *game, struct actor *actor, uint32_t key)
{
    static uint64_t data[GAME_BLOCK_BYTES / sizeof(uint64_t)];
    struct cistern_key name = naive_key(key);
    if (!naive_can_commit(&game->naive, actor->space, key)) {
        return;
    }
    uint64_t number = ++game->commit;
    naive_fill(data, actor->space, key, number, GAME_BLOCK_BYTES);
    int status =
        cistern_put(actor->handle, &name, NULL, data, naive_bytes(number, GAME_BLOCK_BYTES));
    if (game->naive.evicts && status == CISTERN_BUSY) {
        return;
    }
    assert_int_equal(status, CISTERN_OK);
    game_flush(actor);
    naive_commit(&game->naive, actor->space, key, number);
}

static void do_reserve(struct game *game, struct actor *actor, uint32_t key)
{
    size_t count = 0;
    (void)key;
    if (actor->slot_count == GAME_SLOTS) {
        return;
    }
    int status = cistern_reserve(actor->handle, 1 + game_draw(game, GAME_SLOTS - actor->slot_count),
        GAME_LONG_NS, actor->slots + actor->slot_count, &count);
    if (game->naive.evicts && status == CISTERN_BUSY) {
        return;
    }
    assert_int_equal(status, CISTERN_OK);
    assert_in_range(count, 1, GAME_SLOTS - actor->slot_count);
    actor->slot_count += (uint32_t)count;
}

/* A slot that was reserved some time ago: committed or given back. */
static void do_finish_slot(struct game *game, struct actor *actor, uint32_t key)
{
    if (actor->slot_count == 0) {
        return;
    }
    uint32_t at = game_draw(game, actor->slot_count);
    struct cistern_slot slot = actor->slots[at];
    actor->slots[at] = actor->slots[--actor->slot_count];
    if (game_draw(game, 3) == 0 || !naive_can_commit(&game->naive, actor->space, key)) {
        assert_int_equal(cistern_abort(actor->handle, &slot), CISTERN_OK);
    } else {
        struct cistern_slot spent = slot;
        commit(game, actor, &slot, key);
        assert_int_equal(cistern_abort(actor->handle, &spent), CISTERN_STALE);
    }
}

static void do_acquire(struct game *game, struct actor *actor, uint32_t key)
{
    struct cistern_key names[GAME_PREFIX];
    uint32_t keys[GAME_PREFIX];
    size_t got = 0;
    uint32_t count = 1 + game_draw(game, GAME_PREFIX);
    if (actor->view_count + count > game->views_most) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (key + i) % game->keys;
        names[i] = naive_key(keys[i]);
    }
    struct cistern_match match = {.size = sizeof match};
    assert_int_equal(cistern_match(actor->handle, names, count, &match), CISTERN_OK);
    struct cistern_view *views = actor->views + actor->view_count;
    int status = cistern_acquire(actor->handle, names, count, views, &got);
    got = status == CISTERN_MISS ? 0 : got;
    assert_true(status == CISTERN_OK || status == CISTERN_MISS);
    assert_int_equal(match.hot, got); /* nothing else happens meanwhile */
    for (uint32_t i = 0; i < got; i++) {
        actor->view_key[actor->view_count] = keys[i];
        actor->view_commit[actor->view_count] =
            game_see(game, actor, keys[i], views[i].data, views[i].bytes);
        actor->view_count++;
    }
    if (got < count) {
        game_check_miss(game, actor, keys[got]);
    }
}

static void do_release(struct game *game, struct actor *actor, uint32_t key)
{
    (void)key;
    for (uint32_t i = 1 + game_draw(game, GAME_PREFIX); i > 0 && actor->view_count > 0; i--) {
        uint32_t at = game_draw(game, actor->view_count);
        game_check_view(actor, at);
        struct cistern_view copy = actor->views[at];
        assert_int_equal(cistern_release(actor->handle, &actor->views[at], 1), CISTERN_OK);
        assert_int_equal(cistern_release(actor->handle, &copy, 1), CISTERN_STALE);
        uint32_t last = --actor->view_count;
        actor->views[at] = actor->views[last];
        actor->view_key[at] = actor->view_key[last];
        actor->view_commit[at] = actor->view_commit[last];
    }
}

static void do_get(struct game *game, struct actor *actor, uint32_t key)
{
    static uint64_t data[GAME_BLOCK_BYTES / sizeof(uint64_t)];
    struct cistern_key name = naive_key(key);
    uint64_t bytes = 0;
    int status = cistern_get(actor->handle, &name, data, sizeof data, &bytes);
    if (status == CISTERN_MISS) {
        game_check_miss(game, actor, key);
        return;
    }
    assert_int_equal(status, CISTERN_OK);
    (void)game_see(game, actor, key, data, bytes);
}

/* Claims: where blocks vanish, a claim's answer cannot be foretold. */
static void do_claim(struct game *game, struct actor *actor, uint32_t key)
{
    struct cistern_key name = naive_key(key);
    if (game->naive.evicts) {
        return;
    }
    int expected = naive_claim(&game->naive, actor->space, key, actor->number);
    assert_int_equal(cistern_claim(actor->handle, &name), expected);
}

static void do_unclaim(struct game *game, struct actor *actor, uint32_t key)
{
    struct cistern_key name = naive_key(key);
    if (game->naive.evicts) {
        return;
    }
    assert_int_equal(cistern_unclaim(actor->handle, &name), CISTERN_OK);
    game_flush(actor);
    naive_unclaim(&game->naive, actor->space, key, actor->number);
}

static void do_wait(struct game *game, struct actor *actor, uint32_t key)
{
    struct cistern_key name = naive_key(key);
    const struct naive_block *block = &game->naive.blocks[actor->space][key];
    if (game->naive.evicts || block->wait_count == NAIVE_WAITS) {
        return;
    }
    if (game_draw(game, 16) == 0) {
        /* In vain, if somebody has the claim: only this thread could end it. */
        assert_int_equal(cistern_wait(actor->handle, &name, 1000000),
            block->commit_count > 0 ? CISTERN_OK : CISTERN_MISS);
        game_flush(actor); /* a slow sidecar is told late that nobody waits any more */
        return;
    }
    uint64_t cookie = ++game->commit;
    assert_int_equal(
        cistern_wait_async(actor->handle, &name, INT64_C(3000000000000), cookie), CISTERN_PENDING);
    game_flush(actor);
    naive_wait(&game->naive, actor->space, key, actor->number, cookie);
}

/* Views, slots, claims and waits are open when it goes. */
static void do_reopen(struct game *game, struct actor *actor, uint32_t key)
{
    (void)key;
    if (game_draw(game, 8) == 0) {
        game_leave(game, actor, NAIVE_HANDLES - 1);
        game_enter(game, actor);
    }
}

static void play(struct game *game)
{
    typedef void action(struct game * game, struct actor * actor, uint32_t key);
    static action *const actions[] = {do_put, do_put, do_put, do_reserve, do_finish_slot,
        do_finish_slot, do_acquire, do_acquire, do_acquire, do_release, do_get, do_claim,
        do_unclaim, do_wait, do_reopen};
    for (uint32_t step = 0; step < STEPS; step++) {
        /* Each step draws from numbers of its own: how many the last one drew may hang on the
         * sidecar's speed. */
        game->step = step;
        game->random = game->seed + step;
        game->random = check_random(&game->random);
        struct actor *actor = &game->actors[game_draw(game, NAIVE_HANDLES)];
        uint32_t which = game_draw(game, CHECK_COUNT(actions));
        uint32_t key = game_draw(game, game->keys);
        actions[which](game, actor, key);
        game_hear(game);
        if (actor->view_count > 0) {
            game_check_view(actor, game_draw(game, actor->view_count));
        }
    }
}

static void run_game(struct game *game, const char *pool, uint32_t keys, bool evicts)
{
    static const struct {
        uint32_t space;
        uint32_t flags;
    } seats[NAIVE_HANDLES] = {{0, 0}, {0, 0}, {0, CISTERN_ISOLATED}, {1, 0}, {1, CISTERN_ISOLATED}};
    const char *flags[] = {pool, "--slot-min=16KiB", "--claim=60min", "--wait-max=60min", NULL};
    game->seed = check_seed();
    game->keys = keys;
    game->views_most = evicts ? 9 : GAME_VIEWS; /* the last of five in 2 MiB gets 9 pins */
    naive_open(&game->naive, evicts);
    assert_true(daemon_start(&game->daemon, flags));
    assert_true(gauge_open(&game->gauge, game->daemon.socket));
    for (uint32_t i = 0; i < NAIVE_HANDLES; i++) {
        game->actors[i] =
            (struct actor){.number = i, .space = seats[i].space, .flags = seats[i].flags};
        game_enter(game, &game->actors[i]);
    }
    play(game);
    for (uint32_t i = 0; i < NAIVE_HANDLES; i++) {
        game_leave(game, &game->actors[i], NAIVE_HANDLES - 1 - i);
    }
}

static int finish(void **state)
{
    struct game *game = *state;
    gauge_close(&game->gauge);
    bool clean = daemon_stop(&game->daemon);
    daemon_close(&game->daemon);
    return clean ? 0 : -1;
}

static int begin(void **state)
{
    static struct game game;
    memset(&game, 0, sizeof game);
    *state = &game;
    return 0;
}

static void a_large_pool_is_the_map(void **state)
{
    struct game *game = *state;
    run_game(game, "--pool=16MiB", 128, false);
    game_check_books(game, 1024);
    uint64_t there = 0;
    for (uint32_t space = 0; space < NAIVE_SPACES; space++) {
        for (uint32_t key = 0; key < game->keys; key++) {
            there += naive_has(&game->naive, space, key) ? 1 : 0;
        }
    }
    assert_int_equal(game_status(game, "slots_hot"), there);
    assert_int_equal(game_status(game, "evictions"), 0);
    assert_true(game->hits > 100 && game->misses > 100);
}

static void a_small_pool_forgets_but_never_lies(void **state)
{
    struct game *game = *state;
    run_game(game, "--pool=2MiB", NAIVE_KEYS, true);
    game_check_books(game, 128);
    assert_in_range(game_status(game, "evictions"), 10, UINT32_MAX);
    assert_true(game->hits > 100 && game->misses > 100);
}

int main(void)
{
    if (!daemon_is_built()) {
        return CHECK_SKIP;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_pool_is_the_map, begin, finish),
        cmocka_unit_test_setup_teardown(a_small_pool_forgets_but_never_lies, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
