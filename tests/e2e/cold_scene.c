/* cold_scene: see cold_scene.h. */
#include "tests/e2e/cold_scene.h"

#include "tests/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE 16u /* blocks committed between two looks at the tier */
#define QUIET 4u /* looks, a millisecond apart, that find no copy under way */
#define FETCH_NS INT64_C(10000000000)

bool cold_open(struct cold_scene *out_scene, const char *io, const char *more)
{
    *out_scene = (struct cold_scene){.folder = "/tmp/cistern-cold-XXXXXX"};
    if (mkdtemp(out_scene->folder) == NULL) {
        (void)fprintf(stderr, "no folder in /tmp: %s\n", strerror(errno));
        return false;
    }
    char(*flags)[COLD_FLAG_BYTES] = out_scene->flags;
    (void)snprintf(flags[0], sizeof flags[0], "--nvme=%s", out_scene->folder);
    (void)snprintf(flags[1], sizeof flags[1], "--nvme-size=%uMiB", COLD_SIZE_MIB);
    (void)snprintf(flags[2], sizeof flags[2], "--nvme-io=%s", io);
    (void)snprintf(flags[3], sizeof flags[3], "%s", more == NULL ? "--nvme-region=16MiB" : more);
    /* By default what was used once stays off the disk; here everything shall go there. */
    const char *all[] = {flags[0], flags[1], flags[2], flags[3], "--nvme-admit=always", NULL};
    if (!daemon_start(&out_scene->daemon, all)) {
        cold_close(out_scene);
        return false;
    }
    return true;
}

void cold_close(struct cold_scene *scene)
{
    if (scene->daemon.folder[0] != '\0') {
        daemon_close(&scene->daemon);
    }
    (void)folder_remove(scene->folder);
}

int cold_file(const struct cold_scene *scene)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/cistern.tier", scene->folder);
    return open(path, O_RDWR | O_CLOEXEC);
}

static void put(struct child_page *page, cistern_t *handle, uint64_t number)
{
    static char block[WORKER_BLOCK_BYTES];
    struct cistern_key key = worker_key(number);
    struct cistern_key parent = worker_key(number - 1);
    worker_fill(block, sizeof block, number);
    int status = CISTERN_BUSY;
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    while (status == CISTERN_BUSY && child_now_ns() < deadline) {
        status = cistern_put(
            handle, &key, number % COLD_CHAIN == 0 ? NULL : &parent, block, sizeof block);
    }
    child_need(
        page, status == CISTERN_OK, "put: %s: %s", cistern_status_name(status), cistern_why());
    status = cistern_flush(handle, WORKER_WAIT_NS);
    child_need(
        page, status == CISTERN_OK, "flush: %s: %s", cistern_status_name(status), cistern_why());
}

/* Wait until no copy was under way for a while: copies hold their slots. */
static void settle(struct child_page *page, const struct gauge *gauge)
{
    for (uint32_t quiet = 0; quiet < QUIET; quiet++) {
        if (gauge_get(gauge, COUNTER_holds_now) != 0) {
            child_need(page, gauge_becomes(gauge, COUNTER_holds_now, 0), "copies never end");
            quiet = 0;
        }
        child_nap();
    }
}

static int fill(void *context, struct child_page *page)
{
    struct cold_scene *scene = context;
    cistern_t *handle = worker_open(page, scene->daemon.socket, 0);
    struct gauge gauge;
    child_need(page, gauge_open(&gauge, scene->daemon.socket), "no gauge");
    for (uint64_t i = 0; i < COLD_CHAIN * COLD_CHAINS; i++) {
        put(page, handle, i);
        if (i % SETTLE == SETTLE - 1) {
            settle(page, &gauge);
        }
    }
    gauge_close(&gauge);
    cistern_close(&handle);
    return 0;
}

int cold_fill(struct cold_scene *scene)
{
    return child_run(fill, scene);
}

/* Bring `wanted` blocks up as a prefix; returns how many at its start came, all right. */
static uint64_t read_run(
    struct child_page *page, cistern_t *handle, uint64_t first, uint64_t wanted)
{
    struct cistern_key keys[COLD_CHAIN];
    for (uint64_t i = 0; i < wanted; i++) {
        keys[i] = worker_key(first + i);
    }
    size_t hot = 0;
    int status = cistern_fetch(handle, keys, wanted, FETCH_NS, &hot);
    child_need(page, status == CISTERN_OK || status == CISTERN_MISS, "fetch: %s: %s",
        cistern_status_name(status), cistern_why());
    if (status == CISTERN_MISS) {
        return 0;
    }
    child_need(page, hot >= 1 && hot <= wanted, "%zu of %llu blocks are hot", hot,
        (unsigned long long)wanted);
    struct cistern_view views[COLD_CHAIN];
    size_t count = 0;
    status = cistern_acquire(handle, keys, hot, views, &count);
    child_need(page, status == CISTERN_OK && count == hot,
        "a fetched prefix cannot be acquired: %s, %zu of %zu", cistern_status_name(status), count,
        hot);
    for (uint64_t i = 0; i < count; i++) {
        child_need(page, views[i].bytes == WORKER_BLOCK_BYTES, "%llu bytes",
            (unsigned long long)views[i].bytes);
        child_need(page, worker_is_right(views[i].data, views[i].bytes, first + i),
            "wrong bytes in block %llu", (unsigned long long)(first + i));
    }
    status = cistern_release(handle, views, count);
    child_need(page, status == CISTERN_OK, "release: %s", cistern_status_name(status));
    return count;
}

/* The whole chain as one prefix, then, one by one, what lies behind a block that is gone. */
static uint64_t read_chain(struct child_page *page, cistern_t *handle, uint64_t chain)
{
    uint64_t first = chain * COLD_CHAIN;
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < COLD_CHAIN;) {
        uint64_t run = read_run(page, handle, first + i, i == 0 ? COLD_CHAIN : 1);
        blocks += run;
        i += run > 0 ? run : 1;
    }
    return blocks;
}

static int read_all(void *context, struct child_page *page)
{
    struct cold_scene *scene = context;
    cistern_t *handle = NULL;
    /* More pins than a chain has blocks. */
    int status = worker_try_open(scene->daemon.socket, 0, 2 * COLD_CHAIN, &handle);
    child_need(
        page, status == CISTERN_OK, "open: %s: %s", cistern_status_name(status), cistern_why());
    uint64_t blocks = 0;
    for (uint64_t chain = 0; chain < COLD_CHAINS; chain++) {
        blocks += read_chain(page, handle, chain);
    }
    shared64_store_release(&page->word[0], blocks);
    child_at(page, 1);
    cistern_close(&handle);
    return 0;
}

int cold_read(struct cold_scene *scene, uint64_t *out_blocks)
{
    struct child child;
    if (!child_start(&child, read_all, scene)) {
        return -1;
    }
    (void)child_reaches(&child, 1);
    *out_blocks = shared64_load_acquire(&child.page->word[0]);
    return child_end(&child);
}
