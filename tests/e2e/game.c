/* game: see game.h. */
#include "tests/e2e/game.h"

#include "shm/slot.h"
#include "tests/check.h"

#include <string.h>

uint32_t game_draw(struct game *game, uint32_t below)
{
    return (uint32_t)(check_random(&game->random) % below);
}

void game_enter(struct game *game, struct actor *actor)
{
    static const char *const names[NAIVE_SPACES] = {"left", "right"};
    struct cistern_namespace space = {.size = sizeof space,
        .block_tokens = 16,
        .block_bytes = GAME_BLOCK_BYTES,
        .name = names[actor->space]};
    struct cistern_options options = {.size = sizeof options,
        .flags = actor->flags,
        .space = &space,
        .socket_path = game->daemon.socket,
        .threads_max = 1,
        .pins_per_thread = GAME_VIEWS + GAME_PREFIX,
        .grants_ahead = GAME_SLOTS + 2,
        .timeout_ns = GAME_LONG_NS};
    int status = cistern_open(&options, &actor->handle);
    if (status != CISTERN_OK) {
        fail_msg("%s: %s", cistern_status_name(status), cistern_why());
    }
}

void game_flush(struct actor *actor)
{
    assert_int_equal(cistern_flush(actor->handle, GAME_LONG_NS), CISTERN_OK);
}

void game_hear(struct game *game)
{
    for (uint32_t i = 0; i < NAIVE_HANDLES; i++) {
        struct cistern_event events[16];
        size_t count = 16;
        while (count == 16) {
            assert_int_equal(cistern_drain(game->actors[i].handle, events, 16, &count), CISTERN_OK);
            for (size_t at = 0; at < count; at++) {
                if (!naive_heard(&game->naive, i, &events[at])) {
                    fail_msg("handle %u: event %llu with %s was not due", i,
                        (unsigned long long)events[at].cookie,
                        cistern_status_name(events[at].status));
                }
            }
        }
        if (game->naive.events[i].count > 0) {
            fail_msg("step %u: handle %u did not hear %s", game->step, i,
                cistern_status_name(game->naive.events[i].due[0].status));
        }
    }
}

uint64_t game_see(
    struct game *game, const struct actor *actor, uint32_t key, const void *data, uint64_t bytes)
{
    uint64_t commit = naive_read(data, bytes, actor->space, key, GAME_BLOCK_BYTES);
    if (commit == 0 || !naive_saw(&game->naive, actor->space, key, commit)) {
        fail_msg("handle %u: key %u holds %llu bytes of commit %llu", actor->number, key,
            (unsigned long long)bytes, (unsigned long long)commit);
    }
    game->hits++;
    return commit;
}

/* Is the block pinned by any view? Then it must be there. */
static bool is_pinned(const struct game *game, uint32_t space, uint32_t key)
{
    for (uint32_t i = 0; i < NAIVE_HANDLES; i++) {
        const struct actor *actor = &game->actors[i];
        for (uint32_t view = 0; actor->space == space && view < actor->view_count; view++) {
            if (actor->view_key[view] == key) {
                return true;
            }
        }
    }
    return false;
}

void game_check_miss(struct game *game, const struct actor *actor, uint32_t key)
{
    game->misses++;
    if (!naive_has(&game->naive, actor->space, key)) {
        return;
    }
    if (!game->naive.evicts || is_pinned(game, actor->space, key) ||
        gauge_get(&game->gauge, COUNTER_evictions) == 0) {
        fail_msg("handle %u: key %u is gone", actor->number, key);
    }
}

void game_check_view(const struct actor *actor, uint32_t at)
{
    const struct cistern_view *view = &actor->views[at];
    assert_int_equal(
        naive_read(view->data, view->bytes, actor->space, actor->view_key[at], GAME_BLOCK_BYTES),
        actor->view_commit[at]);
}

void game_leave(struct game *game, struct actor *actor, uint32_t left)
{
    struct cistern_stats stats = {.size = sizeof stats};
    for (uint32_t i = 0; i < actor->view_count; i++) {
        game_check_view(actor, i);
    }
    assert_int_equal(cistern_stats(actor->handle, &stats), CISTERN_OK);
    assert_int_equal(stats.violations, 0);
    assert_int_equal(stats.reattaches, 0);
    cistern_close(&actor->handle);
    actor->view_count = 0;
    actor->slot_count = 0;
    assert_true(gauge_becomes(&game->gauge, COUNTER_sessions_now, left));
    naive_leave(&game->naive, actor->number);
}

uint64_t game_status(const struct game *game, const char *name)
{
    char command[1024];
    char text[8192];
    char wanted[64];
    (void)snprintf(command, sizeof command, "'%s/sidecar/cistern' status --json --socket '%s'",
        getenv("CISTERN_BUILD"), game->daemon.socket);
    FILE *tool = popen(command, "r");
    assert_non_null(tool);
    size_t bytes = fread(text, 1, sizeof text - 1, tool);
    text[bytes] = '\0';
    assert_int_equal(pclose(tool), 0);
    (void)snprintf(wanted, sizeof wanted, "\"%s\": ", name);
    const char *at = strstr(text, wanted);
    assert_non_null(at);
    return strtoull(at + strlen(wanted), NULL, 10);
}

void game_check_books(struct game *game, uint32_t slots_most)
{
    uint64_t hot = game_status(game, "slots_hot");
    uint64_t free = game_status(game, "slots_free");
    assert_int_equal(game_status(game, "slots_lent"), 0);
    assert_int_equal(gauge_slots(&game->gauge, SLOT_VALID), hot);
    assert_int_equal(gauge_slots(&game->gauge, SLOT_RESERVED), 0);
    assert_int_equal(gauge_slots(&game->gauge, SLOT_LOADING), 0);
    assert_int_equal(gauge_slots(&game->gauge, SLOT_EVICTING), 0);
    assert_int_equal((hot + free) % GAME_EXTENT_SLOTS, 0);
    assert_in_range(hot + free, 0, slots_most);
    assert_int_equal(game_status(game, "commits") - game_status(game, "evictions"), hot);
    assert_int_equal(game_status(game, "requests_bad"), 0);
    assert_int_equal(game_status(game, "pins_wild"), 0);
}
