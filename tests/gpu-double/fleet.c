/* fleet: see fleet.h. */
#include "tests/gpu-double/fleet.h"

#include "shm/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE 4096u

int fleet_log_open(void)
{
    return memfd_create("fleet-log", MFD_CLOEXEC);
}

bool fleet_log_has(int log, const char *words)
{
    static char text[65536];
    ssize_t bytes = pread(log, text, sizeof text - 1, 0);
    text[bytes > 0 ? bytes : 0] = '\0';
    return strstr(text, words) != NULL;
}

void fleet_begin(
    struct fleet *fleet, struct child_page *page, const char *switches, const char *which, int log)
{
    memset(fleet, 0, sizeof *fleet);
    fleet->page = page;
    child_need(page, setenv("CUDA_DOUBLE", switches, 1) == 0, "setenv");
    (void)snprintf(fleet->config.device, sizeof fleet->config.device, "%s", which);
    fleet->config.device_pool_bytes = FLEET_POOL_BYTES;
    fleet->config.extent_bytes = FLEET_EXTENT_BYTES;
    fleet->config.slot_min_bytes = 65536;
    log_init(&fleet->log, log < 0 ? STDERR_FILENO : log, LOG_DEBUG);
}

void fleet_open(struct fleet *fleet)
{
    int status =
        devices_open(&fleet->devices, &fleet->config, &fleet->log, fleet->why, sizeof fleet->why);
    child_need(fleet->page, status == STATUS_OK, "open: %d, %s", status, fleet->why);
}

void fleet_close(struct fleet *fleet)
{
    struct bed bed = fleet_bed(fleet, 0);
    bool looked = bed_is_double() && bed.driver.library != NULL;
    devices_close(&fleet->devices);
    devices_close(&fleet->devices);
    if (looked) {
        child_need(fleet->page, bed_violations(&bed) == 0, "the double saw a violation");
    }
}

struct bed fleet_bed(struct fleet *fleet, uint32_t number)
{
    return (struct bed){.page = fleet->page,
        .driver = fleet->devices.driver,
        .gpu = fleet->devices.one[number].gpu};
}

void fleet_fill(struct fleet *fleet, uint32_t number, uint64_t offset, uint8_t value)
{
    struct bed bed = fleet_bed(fleet, number);
    child_need(fleet->page, gpu_enter(&bed.gpu, &bed.former) == STATUS_OK, "enter");
    bed_fill(&bed, slab_address(fleet->devices.gift[number].slabs, offset), PIECE, value);
    gpu_leave(&bed.gpu, bed.former);
}

bool fleet_holds(struct fleet *fleet, uint32_t number, uint64_t offset, uint8_t value)
{
    struct bed bed = fleet_bed(fleet, number);
    child_need(fleet->page, gpu_enter(&bed.gpu, &bed.former) == STATUS_OK, "enter");
    bool holds =
        bed_holds(&bed, slab_address(fleet->devices.gift[number].slabs, offset), PIECE, value);
    gpu_leave(&bed.gpu, bed.former);
    return holds;
}
