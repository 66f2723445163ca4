/* server_describe: what an observer is told of a server: lines "name value". See server.h. */
#include "cuda/device_host.h"
#include "sidecar/moment.h"
#include "sidecar/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void server_describe(void *context, char *out_text, size_t text_bytes)
{
    const struct server *server = context;
    char pool[128];
    device_host.describe(&server->memory.pool, pool, sizeof pool);
    int length = snprintf(out_text, text_bytes,
        "pid %d\nuptime_s %llu\npool_bytes %llu\nextent_bytes %llu\nslot_min_bytes %llu\nslots %u\n"
        "policy %s\nloop %s\npoll_us %llu\npool %s\n",
        (int)getpid(), (unsigned long long)((moment_ns() - server->started_ns) / 1000000000u),
        (unsigned long long)server->config.pool_bytes,
        (unsigned long long)server->config.extent_bytes,
        (unsigned long long)server->config.slot_min_bytes, server->blocks.index.slots,
        server->blocks.policies[0].ops->name, loop_name(server->loop),
        (unsigned long long)(server->config.poll_ns / 1000), pool);
    if (length > 0 && (size_t)length < text_bytes) {
        server_tiers_describe(server, out_text + length, text_bytes - (size_t)length);
        size_t used = strlen(out_text);
        server_devices_describe(server, out_text + used, text_bytes - used);
    }
}
