/* client: thin calls around cistern.h. */
#include "bench/client.h"

#include "bench/clock.h"
#include "bench/content.h"

#include <stdio.h>

#define WAIT_NS (10 * CLOCK_NS_PER_S)

bool client_failed(const char *what, int status)
{
    fprintf(stderr, "cistern-bench: %s: %s (%s); %s\n", what, cistern_status_name(status),
        cistern_why(), cistern_status_advice(status));
    return false;
}

bool client_open(const struct client_settings *settings, cistern_t **out_handle)
{
    struct cistern_namespace space = {
        .size = sizeof space,
        .block_tokens = settings->block_tokens == 0 ? 16 : settings->block_tokens,
        .block_bytes = settings->block_bytes,
        .name = settings->name,
        .model = "cistern-bench",
        .dtype = "bytes",
        .layout = "[bytes]",
        .engine = "cistern-bench 1",
    };
    struct cistern_options options = {
        .size = sizeof options,
        .space = &space,
        .socket_path = settings->socket_path,
        .threads_max = settings->threads_max == 0 ? 1 : settings->threads_max,
        .pins_per_thread = settings->pins_per_thread,
        .grants_ahead = settings->grants_ahead,
        .timeout_ns = WAIT_NS,
        .device = settings->device,
    };
    int status = cistern_open(&options, out_handle);
    return status == CISTERN_OK || client_failed("open", status);
}

bool client_fill(
    cistern_t *handle, uint64_t seed, uint64_t first, uint64_t count, uint64_t bytes, bool chained)
{
    struct cistern_key parent;
    for (uint64_t number = first; number < first + count; number++) {
        struct cistern_slot slot;
        size_t taken;
        int status = cistern_reserve(handle, 1, WAIT_NS, &slot, &taken);
        if (status != CISTERN_OK) {
            return client_failed("reserve", status);
        }
        struct cistern_key key = content_key(seed, number);
        content_fill(&key, slot.data, bytes);
        status =
            cistern_commit(handle, &slot, &key, chained && number > first ? &parent : NULL, bytes);
        if (status != CISTERN_OK) {
            return client_failed("commit", status);
        }
        parent = key;
    }
    int status = cistern_flush(handle, WAIT_NS);
    return status == CISTERN_OK || client_failed("flush", status);
}
