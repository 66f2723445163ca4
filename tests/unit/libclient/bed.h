/* bed: what most tests of libclient stand on: a double of the sidecar in a directory of its own,
 * a handle on it, and a prefix of keys. */
#ifndef CISTERN_TESTS_UNIT_LIBCLIENT_BED_H
#define CISTERN_TESTS_UNIT_LIBCLIENT_BED_H

#include "tests/check.h"
#include "tests/unit/libclient/double_server.h"

#include <string.h>

#define BED_KEYS 200u
#define BED_TOKENS 16u /* tokens a block */
#define BED_SECOND INT64_C(1000000000)

struct bed {
    char folder[64];
    char path[90];
    struct double_server server;
    struct cistern_namespace space;
    struct cistern_options options;
    cistern_t *handle;
    struct cistern_key keys[BED_KEYS]; /* one prefix */
};

/* Start the double; `faults` may be NULL. Options are filled in, nothing is opened yet. */
void bed_start(struct bed *bed, const struct double_faults *faults);

/* Open the handle with the options of now, and make the keys. */
void bed_open(struct bed *bed);

/* Close what is open, and clean up. */
void bed_end(struct bed *bed);

/* Start a second double where the first one was, and call until the handle is on it. */
void bed_restart(struct bed *bed, uint64_t epoch);

/* Wait until every request of this thread was handled. */
void bed_flush(struct bed *bed);

/* cmocka's setup and teardown: a bed with an open handle in *state. */
int bed_setup(void **state);
int bed_teardown(void **state);

/* How many descriptors, and how many mappings of shared segments, this process has. */
uint32_t bed_count_fds(void);
uint32_t bed_count_maps(void);

#endif
