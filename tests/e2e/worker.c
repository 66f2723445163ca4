/* worker: blocks known by number; see worker.h. */
#include "tests/e2e/worker.h"

#include "tests/pattern.h"

#include <string.h>

static int try_open(
    const char *socket, uint32_t flags, uint32_t pins, const char *device, cistern_t **out_handle)
{
    struct cistern_namespace space = {
        .size = sizeof space,
        .block_tokens = 16,
        .block_bytes = WORKER_BLOCK_BYTES,
        .name = "test",
        .model = "none",
        .dtype = "bytes",
        .layout = "bytes",
        .engine = "test 1",
    };
    struct cistern_options options = {
        .size = sizeof options,
        .flags = flags,
        .space = &space,
        .socket_path = socket,
        .threads_max = 2,
        .pins_per_thread = pins,
        .timeout_ns = WORKER_WAIT_NS,
        .device = device,
    };
    return cistern_open(&options, out_handle);
}

int worker_try_open(const char *socket, uint32_t flags, uint32_t pins, cistern_t **out_handle)
{
    return try_open(socket, flags, pins, NULL, out_handle);
}

cistern_t *worker_open_on(
    struct child_page *page, const char *socket, uint32_t flags, const char *device)
{
    cistern_t *handle = NULL;
    int status = try_open(socket, flags, 16, device, &handle);
    child_need(
        page, status == CISTERN_OK, "open: %s: %s", cistern_status_name(status), cistern_why());
    return handle;
}

cistern_t *worker_open(struct child_page *page, const char *socket, uint32_t flags)
{
    return worker_open_on(page, socket, flags, NULL);
}

struct cistern_key worker_key(uint64_t number)
{
    struct cistern_key key;
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t word = pattern_mix(number * 4 + i + UINT64_C(0x9e3779b97f4a7c15));
        memcpy(&key.bytes[i * 8], &word, sizeof word);
    }
    return key;
}

void worker_fill(void *data, uint64_t bytes, uint64_t number)
{
    for (uint64_t at = 0; at < bytes; at += 8) {
        uint64_t word = pattern_word(number, at);
        memcpy((char *)data + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}

bool worker_is_right(const void *data, uint64_t bytes, uint64_t number)
{
    for (uint64_t at = 0; at < bytes; at += 8) {
        uint64_t word = pattern_word(number, at);
        if (memcmp((const char *)data + at, &word, bytes - at < 8 ? bytes - at : 8) != 0) {
            return false;
        }
    }
    return true;
}

void worker_put(struct child_page *page, cistern_t *handle, uint64_t number)
{
    struct cistern_key key = worker_key(number);
    struct cistern_slot slot;
    size_t count = 0;
    int status = cistern_reserve(handle, 1, WORKER_WAIT_NS, &slot, &count);
    child_need(page, status == CISTERN_OK && count == 1, "reserve: %s: %s",
        cistern_status_name(status), cistern_why());
    child_need(page, slot.bytes >= WORKER_BLOCK_BYTES, "a slot of %llu bytes",
        (unsigned long long)slot.bytes);
    worker_fill(slot.data, WORKER_BLOCK_BYTES, number);
    status = cistern_commit(handle, &slot, &key, NULL, WORKER_BLOCK_BYTES);
    child_need(
        page, status == CISTERN_OK, "commit: %s: %s", cistern_status_name(status), cistern_why());
    status = cistern_flush(handle, WORKER_WAIT_NS);
    child_need(
        page, status == CISTERN_OK, "flush: %s: %s", cistern_status_name(status), cistern_why());
}

int worker_look(struct child_page *page, cistern_t *handle, uint64_t number)
{
    struct cistern_key key = worker_key(number);
    struct cistern_view view;
    size_t count = 0;
    int status = cistern_acquire(handle, &key, 1, &view, &count);
    if (status != CISTERN_OK) {
        return status;
    }
    child_need(page, count == 1 && view.bytes == WORKER_BLOCK_BYTES, "%zu views, %llu bytes", count,
        (unsigned long long)view.bytes);
    child_need(page, worker_is_right(view.data, view.bytes, number), "wrong bytes in block %llu",
        (unsigned long long)number);
    int released = cistern_release(handle, &view, 1);
    child_need(page, released == CISTERN_OK, "release: %s", cistern_status_name(released));
    return status;
}

void worker_find(struct child_page *page, cistern_t *handle, uint64_t number)
{
    uint64_t deadline = child_now_ns() + (uint64_t)WORKER_WAIT_NS;
    int status = worker_look(page, handle, number);
    while (status != CISTERN_OK && child_now_ns() < deadline) {
        child_nap();
        status = worker_look(page, handle, number);
    }
    child_need(page, status == CISTERN_OK, "block %llu is not found: %s: %s",
        (unsigned long long)number, cistern_status_name(status), cistern_why());
}
