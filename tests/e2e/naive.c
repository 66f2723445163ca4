/* naive: see naive.h. */
#include "tests/e2e/naive.h"

#include "tests/check.h"

#include <string.h>

void naive_open(struct naive *naive, bool evicts)
{
    memset(naive, 0, sizeof *naive);
    naive->evicts = evicts;
    for (uint32_t space = 0; space < NAIVE_SPACES; space++) {
        for (uint32_t key = 0; key < NAIVE_KEYS; key++) {
            naive->blocks[space][key].owner = NAIVE_NOBODY;
        }
    }
}

struct cistern_key naive_key(uint32_t key)
{
    struct cistern_key out;
    uint64_t state = key;
    for (size_t i = 0; i < sizeof out.bytes; i += sizeof state) {
        uint64_t word = check_random(&state);
        memcpy(out.bytes + i, &word, sizeof word);
    }
    return out;
}

uint64_t naive_bytes(uint64_t commit, uint64_t block_bytes)
{
    uint64_t state = commit;
    return 8 * (1 + check_random(&state) % (block_bytes / 8));
}

static uint64_t first_state(uint32_t space, uint32_t key, uint64_t commit)
{
    return commit * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)key << 32 ^ space;
}

void naive_fill(void *data, uint32_t space, uint32_t key, uint64_t commit, uint64_t block_bytes)
{
    uint64_t *words = data;
    uint64_t state = first_state(space, key, commit);
    uint64_t count = naive_bytes(commit, block_bytes) / 8;
    words[0] = commit;
    for (uint64_t i = 1; i < count; i++) {
        words[i] = check_random(&state);
    }
}

uint64_t naive_read(
    const void *data, uint64_t bytes, uint32_t space, uint32_t key, uint64_t block_bytes)
{
    const uint64_t *words = data;
    uint64_t commit = words[0];
    uint64_t state = first_state(space, key, commit);
    if (bytes != naive_bytes(commit, block_bytes)) {
        return 0;
    }
    for (uint64_t i = 1; i < bytes / 8; i++) {
        if (words[i] != check_random(&state)) {
            return 0;
        }
    }
    return commit;
}

static void due(struct naive *naive, const struct naive_wait *wait, int status)
{
    struct naive_events *events = &naive->events[wait->handle];
    assert_true(events->count < NAIVE_EVENTS);
    events->due[events->count++] = (struct cistern_event){.cookie = wait->cookie, .status = status};
}

bool naive_can_commit(const struct naive *naive, uint32_t space, uint32_t key)
{
    return !naive->evicts || naive->blocks[space][key].commit_count < NAIVE_COMMITS;
}

void naive_commit(struct naive *naive, uint32_t space, uint32_t key, uint64_t commit)
{
    struct naive_block *block = &naive->blocks[space][key];
    if (naive->evicts || block->commit_count == 0) {
        block->commits[block->commit_count++] = commit;
    }
    block->owner = NAIVE_NOBODY;
    for (uint32_t i = 0; i < block->wait_count; i++) {
        due(naive, &block->waits[i], CISTERN_OK);
    }
    block->wait_count = 0;
}

bool naive_saw(struct naive *naive, uint32_t space, uint32_t key, uint64_t commit)
{
    struct naive_block *block = &naive->blocks[space][key];
    for (uint32_t i = 0; i < block->commit_count; i++) {
        if (block->commits[i] == commit) {
            /* Older ones were evicted, younger ones came second. */
            block->commits[0] = commit;
            block->commit_count = 1;
            return true;
        }
    }
    return false;
}

int naive_claim(struct naive *naive, uint32_t space, uint32_t key, uint32_t handle)
{
    struct naive_block *block = &naive->blocks[space][key];
    if (block->commit_count > 0) {
        return CISTERN_OK;
    }
    if (block->owner == NAIVE_NOBODY || block->owner == handle) {
        block->owner = handle;
        return CISTERN_MINE;
    }
    return CISTERN_OTHER;
}

/* The claim passes to whoever waited first. */
static void pass_on(struct naive *naive, struct naive_block *block)
{
    block->owner = NAIVE_NOBODY;
    if (block->wait_count > 0) {
        block->owner = block->waits[0].handle;
        due(naive, &block->waits[0], CISTERN_MINE);
        block->wait_count--;
        memmove(block->waits, block->waits + 1, block->wait_count * sizeof block->waits[0]);
    }
}

void naive_unclaim(struct naive *naive, uint32_t space, uint32_t key, uint32_t handle)
{
    struct naive_block *block = &naive->blocks[space][key];
    if (block->owner == handle) {
        pass_on(naive, block);
    }
}

void naive_wait(struct naive *naive, uint32_t space, uint32_t key, uint32_t handle, uint64_t cookie)
{
    struct naive_block *block = &naive->blocks[space][key];
    struct naive_wait wait = {.handle = handle, .cookie = cookie};
    if (block->commit_count > 0) {
        due(naive, &wait, CISTERN_OK);
    } else if (block->owner == NAIVE_NOBODY) {
        due(naive, &wait, CISTERN_MISS);
    } else {
        assert_true(block->wait_count < NAIVE_WAITS);
        block->waits[block->wait_count++] = wait;
    }
}

static void forget_waits(struct naive_block *block, uint32_t handle)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < block->wait_count; i++) {
        if (block->waits[i].handle != handle) {
            block->waits[kept++] = block->waits[i];
        }
    }
    block->wait_count = kept;
}

void naive_leave(struct naive *naive, uint32_t handle)
{
    naive->events[handle].count = 0;
    for (uint32_t space = 0; space < NAIVE_SPACES; space++) {
        for (uint32_t key = 0; key < NAIVE_KEYS; key++) {
            struct naive_block *block = &naive->blocks[space][key];
            forget_waits(block, handle);
            if (block->owner == handle) {
                pass_on(naive, block);
            }
        }
    }
}

bool naive_heard(struct naive *naive, uint32_t handle, const struct cistern_event *event)
{
    struct naive_events *events = &naive->events[handle];
    for (uint32_t i = 0; i < events->count; i++) {
        if (events->due[i].cookie == event->cookie) {
            bool right = events->due[i].status == event->status;
            events->due[i] = events->due[--events->count];
            return right;
        }
    }
    return false;
}
