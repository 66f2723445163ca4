/* fleet: the devices of a sidecar, opened in a child as a server opens them, with its log in a file
 * that the test can read. */
#ifndef CISTERN_TESTS_GPU_DOUBLE_FLEET_H
#define CISTERN_TESTS_GPU_DOUBLE_FLEET_H

#include "sidecar/device/devices.h"
#include "tests/gpu-double/bed.h"

#define FLEET_POOL_BYTES (UINT64_C(64) << 20)
#define FLEET_EXTENT_BYTES (UINT64_C(1) << 20)
#define FLEET_WHY 512u

struct fleet {
    struct child_page *page;
    struct config config;
    struct log log;
    struct devices devices;
    char why[FLEET_WHY];
};

/* A log that parent and children write and read. */
int fleet_log_open(void);
bool fleet_log_has(int log, const char *words);

/* In a child: with these switches of the double ("" for none), the devices that `which` names, and
 * 64 MiB of each. `log` -1: stderr. Nothing is opened yet. */
void fleet_begin(
    struct fleet *fleet, struct child_page *page, const char *switches, const char *which, int log);

/* devices_open(), which succeeds. */
void fleet_open(struct fleet *fleet);

/* Close them. Of the double: the process ends with a failure if it saw missing synchronisation, or
 * use after free. */
void fleet_close(struct fleet *fleet);

/* Fill memory of a device, through a stream, and wait; does it hold that? */
void fleet_fill(struct fleet *fleet, uint32_t number, uint64_t offset, uint8_t value);
bool fleet_holds(struct fleet *fleet, uint32_t number, uint64_t offset, uint8_t value);

/* The device as a bed, for its controls. */
struct bed fleet_bed(struct fleet *fleet, uint32_t number);

#endif
