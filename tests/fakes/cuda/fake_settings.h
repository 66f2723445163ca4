/* fake_settings: what the variable CUDA_DOUBLE says. Read anew until cuInit() succeeded. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_SETTINGS_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_SETTINGS_H

#include "tests/fakes/cuda/fake_entry.h"

#define FAKE_DEVICES 16
#define FAKE_ATTRIBUTES 16
#define FAKE_UNKNOWN_ERROR 999 /* a result that decides nothing */

struct fake_settings {
    uint64_t devices;
    uint64_t memory; /* bytes of each device */
    uint64_t delay_us;
    uint64_t version;
    uint64_t init; /* what cuInit() returns */
    uint64_t no_host_register;
    uint64_t no_timeline;
    uint64_t fabric;
    uint64_t strict;
    bool lacks[FAKE_ENTRIES];
    struct {
        int id;
        int value;
    } attributes[FAKE_ATTRIBUTES];
    size_t attribute_count;
    char wrong[128]; /* why the variable is refused, or "" */
};

/* All under the lock. */
const struct fake_settings *fake_settings_read(void);

/* From now on the variable is read no more: cuInit() was called, or a test set something itself. */
void fake_settings_freeze(void);

void fake_settings_delay(uint64_t delay_us);

#endif
