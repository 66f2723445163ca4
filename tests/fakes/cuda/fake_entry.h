/* fake_entry: the driver's entry points, by name and exact version, and what each begins with.
 *
 *   cuGetProcAddress_v2 ─▶ table of driver.def ─▶ fake_cuMemCreate() { enter; …; leave }
 *
 * The prototypes below are made from driver.def, so the compiler compares ours with what cuda/
 * calls; and from module.def, for the tests' own kernels.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_ENTRY_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_ENTRY_H

#include "cuda/driver.h"

#include <stdbool.h>

struct driver_module;
struct driver_function;

enum fake_entry {
#define ENTRY(need, field, name, version, parameters) FAKE_##field,
#include "cuda/driver.def"
#include "tests/fakes/cuda/module.def"
#undef ENTRY
    FAKE_ENTRIES
};

#define ENTRY(need, field, name, version, parameters) int fake_##field parameters;
#include "cuda/driver.def"
#include "tests/fakes/cuda/module.def"
#undef ENTRY

enum fake_needs {
    FAKE_NOTHING, /* works before cuInit() */
    FAKE_INIT,
    FAKE_CONTEXT /* current in this thread, and not broken */
};

/* Begin a call. Returns 0 with the lock held, or what the call shall return, without it. */
int fake_entry_enter(enum fake_entry entry, enum fake_needs needs);

/* End it: the lock is let go. Returns `result`. */
int fake_entry_leave(int result);

/* The worker says that this thread now runs a function of the user, or no longer does. */
void fake_entry_callback(bool runs);

/* The entry called `name`, or FAKE_ENTRIES. */
enum fake_entry fake_entry_find(const char *name);
const char *fake_entry_name(enum fake_entry entry);

#endif
