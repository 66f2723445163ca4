/* daemon: finds the program beside ours, starts it with the options of the scenario. */
#include "bench/daemon.h"

#include "bench/clock.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_TIMEOUT_NS (120 * CLOCK_NS_PER_S)
#define EXTENT_LEAST_BYTES (UINT64_C(1) << 20)
#define EXTENT_MOST_BYTES (UINT64_C(256) << 20)
#define SLOW_PREFAULT_BYTES (UINT64_C(1) << 30)

/* The pool is cut into a power of two of bytes, a sixteenth of it: round up to a whole number. */
static uint64_t round_pool(uint64_t bytes)
{
    uint64_t extent = EXTENT_LEAST_BYTES;
    while (extent * 2 <= bytes / 16 && extent < EXTENT_MOST_BYTES) {
        extent *= 2;
    }
    return (bytes + extent - 1) / extent * extent;
}

/* What a private sidecar is started with. */
struct wish {
    uint64_t pool_bytes;
    uint64_t slot_min_bytes;
    int core;
    bool kept;
    const char *cold_folder; /* NULL: no cold tier */
    uint64_t cold_bytes;
    const char *device; /* NULL: none */
    uint64_t device_bytes;
};

static bool start_private(
    const struct options *options, const struct wish *wish, struct daemon *daemon)
{
    char program[PATH_MAX];
    char pool[32];
    char slot_min[32];
    char folder[PATH_MAX + 8];
    char size[40];
    char admit[] = "--nvme-admit=always";
    char device[128];
    char device_pool[48];
    char promote[] = "--device-promote=never";
    if (!process_find(options->cisternd_path, "../sidecar/cisternd", "--cisternd", program) ||
        !process_prepare(&daemon->process, "cistern.sock")) {
        return false;
    }
    snprintf(pool, sizeof pool, "%lluKiB", (unsigned long long)(wish->pool_bytes >> 10));
    snprintf(
        slot_min, sizeof slot_min, "%lluKiB", (unsigned long long)(wish->slot_min_bytes >> 10));
    char *argv[24] = {program, (char[]){"--socket"}, daemon->process.socket_path,
        (char[]){"--pool"}, pool, (char[]){"--slot-min"}, slot_min, (char[]){"--log-level"},
        (char[]){"warn"}, (char[]){"--sessions-per-user"}, (char[]){"256"}, (char[]){"--poll"},
        /* Pinned to one of several cores it would see one, and not poll: we know better. */
        wish->core >= 0 ? (char[]){"50us"} : (char[]){"auto"}, (char[]){"--keeper"},
        wish->kept ? (char[]){"yes"} : (char[]){"no"}};
    if (wish->cold_folder != NULL) {
        char real[PATH_MAX];
        if (realpath(wish->cold_folder, real) == NULL) {
            perror(wish->cold_folder);
            return false;
        }
        snprintf(folder, sizeof folder, "--nvme=%s", real);
        snprintf(
            size, sizeof size, "--nvme-size=%lluMiB", (unsigned long long)(wish->cold_bytes >> 20));
        argv[15] = folder;
        argv[16] = size;
        argv[17] = admit;
    }
    if (wish->device != NULL) {
        snprintf(device, sizeof device, "--device=%s", wish->device);
        snprintf(device_pool, sizeof device_pool, "--device-pool=%lluMiB",
            (unsigned long long)(wish->device_bytes >> 20));
        argv[15] = device;
        argv[16] = device_pool;
        argv[17] = promote;
    }
    if (wish->pool_bytes >= SLOW_PREFAULT_BYTES) {
        fprintf(stderr, "starting cisternd: it touches all of its pool of %.1f GiB first\n",
            (double)wish->pool_bytes / (double)(UINT64_C(1) << 30));
    }
    return process_start(&daemon->process, argv, wish->core, false, START_TIMEOUT_NS);
}

static bool start(const struct options *options, const struct wish *wish, struct daemon *out_daemon)
{
    *out_daemon = (struct daemon){0};
    if (options->socket_path != NULL) {
        out_daemon->socket_path = options->socket_path;
        return true;
    }
    struct wish rounded = *wish;
    rounded.pool_bytes = round_pool(wish->pool_bytes);
    if (!start_private(options, &rounded, out_daemon)) {
        return false;
    }
    out_daemon->socket_path = out_daemon->process.socket_path;
    out_daemon->pool_bytes = rounded.pool_bytes;
    return true;
}

bool daemon_start(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, struct daemon *out_daemon)
{
    struct wish wish = {.pool_bytes = pool_bytes, .slot_min_bytes = slot_min_bytes, .core = core};
    return start(options, &wish, out_daemon);
}

bool daemon_start_kept(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, struct daemon *out_daemon)
{
    struct wish wish = {
        .pool_bytes = pool_bytes, .slot_min_bytes = slot_min_bytes, .core = core, .kept = true};
    return start(options, &wish, out_daemon);
}

bool daemon_start_cold(const struct options *options, uint64_t pool_bytes, uint64_t slot_min_bytes,
    int core, const char *cold_folder, uint64_t cold_bytes, struct daemon *out_daemon)
{
    struct wish wish = {.pool_bytes = pool_bytes,
        .slot_min_bytes = slot_min_bytes,
        .core = core,
        .cold_folder = cold_folder,
        .cold_bytes = cold_bytes};
    return start(options, &wish, out_daemon);
}

bool daemon_start_device(const struct options *options, uint64_t pool_bytes,
    uint64_t slot_min_bytes, const char *device, uint64_t device_bytes, struct daemon *out_daemon)
{
    struct wish wish = {.pool_bytes = pool_bytes,
        .slot_min_bytes = slot_min_bytes,
        .core = -1,
        .device = device,
        .device_bytes = device_bytes};
    return start(options, &wish, out_daemon);
}

void daemon_stop(struct daemon *daemon)
{
    if (daemon->process.pid > 0 && !process_alive(&daemon->process)) {
        fputs("cistern-bench: cisternd ended by itself during the run\n", stderr);
    }
    process_stop(&daemon->process);
}

void daemon_clean_cold(const char *folder)
{
    static const char *const names[] = {"cistern.tier", "cistern.tier.lock", "cistern.lock"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
}

uint64_t daemon_memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) {
        return 0;
    }
    char line[128];
    unsigned long long kib = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return (uint64_t)kib << 10;
}
