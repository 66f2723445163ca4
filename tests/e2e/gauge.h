/* gauge: reads the sidecar's counters, through the observer's door, as any tool may. */
#ifndef CISTERN_TESTS_E2E_GAUGE_H
#define CISTERN_TESTS_E2E_GAUGE_H

#include "shm/counter.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <stdbool.h>

struct gauge {
    struct segment segment;
    struct index_view index;
};

/* Ask the sidecar at `socket` for its index. Returns false, with a line on stderr, if it will
 * not. */
bool gauge_open(struct gauge *out_gauge, const char *socket);
void gauge_close(struct gauge *gauge);

uint64_t gauge_get(const struct gauge *gauge, enum counter which);

/* Wait until the counter is `value`; a sidecar needs a moment to see a death. Returns false,
 * with a line on stderr, at a deadline that only a leak can reach. */
bool gauge_becomes(const struct gauge *gauge, enum counter which, uint64_t value);

/* The same, until it is `value` or more. */
bool gauge_reaches(const struct gauge *gauge, enum counter which, uint64_t value);

/* How many descriptors are in `state` now. */
uint32_t gauge_slots(const struct gauge *gauge, uint32_t state);

#endif
