/* fake_fault: calls that fail on purpose, by entry and number. All under the lock. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_FAULT_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_FAULT_H

#include "tests/fakes/cuda/fake_entry.h"

/* The call number `nth` from now fails with `result`, once; 0: every one. A sticky one breaks the
 * caller's context, or all if it has none. Returns false: no such entry, or no room. */
bool fake_fault_add(const char *name, uint64_t nth, int result, bool is_sticky);
void fake_fault_clear(void);

/* Count a call. Returns what it shall fail with, or 0. */
int fake_fault_strike(enum fake_entry entry, struct driver_context *context);

#endif
