/* fake_entry: see fake_entry.h. The only file, beside cuda_double.c, that exports anything. */
#include "tests/fakes/cuda/fake_entry.h"

#include "tests/fakes/cuda/fake_context.h"
#include "tests/fakes/cuda/fake_device.h"
#include "tests/fakes/cuda/fake_fault.h"
#include "tests/fakes/cuda/fake_ledger.h"
#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_settings.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FOUND 0
#define NOT_FOUND 1
#define VERSION_TOO_LOW 2

int cuGetProcAddress_v2(
    const char *name, void **out_entry, int version, uint64_t flags, int *found);

static const struct {
    const char *name;
    int version;
    void (*call)(void);
} entries[] = {
#define ENTRY(need, field, name, version, parameters) {name, version, (void (*)(void))fake_##field},
#include "cuda/driver.def"
#include "tests/fakes/cuda/module.def"
#undef ENTRY
};

static _Atomic pid_t process; /* that called cuInit(); 0: none yet */
static _Thread_local bool in_callback;

enum fake_entry fake_entry_find(const char *name)
{
    for (size_t i = 0; i < FAKE_ENTRIES; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return (enum fake_entry)i;
        }
    }
    return FAKE_ENTRIES;
}

const char *fake_entry_name(enum fake_entry entry)
{
    return entries[entry].name;
}

/* The real one gives the newest prototype that is not newer than asked. A caller that names another
 * version than it typed would get other parameters than it passes: here it gets nothing. */
static int find(const char *name, void **out_entry, int version, int *found)
{
    const struct fake_settings *settings = fake_settings_read();
    enum fake_entry entry = fake_entry_find(name);
    *out_entry = NULL;
    *found = NOT_FOUND;
    if (version > (int)settings->version) {
        return DRIVER_INVALID_VALUE;
    }
    if (entry == FAKE_ENTRIES || settings->lacks[entry] || version > entries[entry].version) {
        return DRIVER_SUCCESS;
    }
    if (version < entries[entry].version) {
        *found = VERSION_TOO_LOW;
        return DRIVER_SUCCESS;
    }
    memcpy(out_entry, &entries[entry].call, sizeof *out_entry);
    *found = FOUND;
    return DRIVER_SUCCESS;
}

__attribute__((visibility("default"))) int cuGetProcAddress_v2(
    const char *name, void **out_entry, int version, uint64_t flags, int *found)
{
    int ignored;
    if (name == NULL || out_entry == NULL || flags > 2) {
        return DRIVER_INVALID_VALUE;
    }
    fake_lock_take();
    int result = find(name, out_entry, version, found != NULL ? found : &ignored);
    fake_lock_drop();
    return result;
}

void fake_entry_callback(bool runs)
{
    in_callback = runs;
}

/* What stands in the way of any call, before the lock, which a forked child might find taken. */
static int refusal(void)
{
    pid_t owner = atomic_load(&process);
    if (owner != 0 && owner != getpid()) {
        return DRIVER_NOT_INITIALIZED; /* the driver does not survive fork() */
    }
    return in_callback ? DRIVER_NOT_PERMITTED : DRIVER_SUCCESS;
}

int fake_entry_enter(enum fake_entry entry, enum fake_needs needs)
{
    int result = refusal();
    if (needs == FAKE_NOTHING) {
        result = DRIVER_SUCCESS;
    } else if (result == DRIVER_SUCCESS && atomic_load(&process) == 0) {
        result = DRIVER_NOT_INITIALIZED;
    }
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    fake_lock_take();
    struct driver_context *context = fake_context_current();
    if (needs == FAKE_CONTEXT) {
        result = context == NULL ? DRIVER_INVALID_CONTEXT : context->sticky;
    }
    if (result == DRIVER_SUCCESS) {
        result = fake_fault_strike(entry, context);
    }
    if (result != DRIVER_SUCCESS) {
        fake_lock_drop();
    }
    return result;
}

int fake_entry_leave(int result)
{
    fake_lock_drop();
    return result;
}

static int start(unsigned flags)
{
    const struct fake_settings *settings = fake_settings_read();
    if (settings->wrong[0] != '\0') {
        (void)fprintf(stderr, "cuda_double: CUDA_DOUBLE: %s\n", settings->wrong);
        return FAKE_UNKNOWN_ERROR;
    }
    if (flags != 0) {
        return DRIVER_INVALID_VALUE;
    }
    int result = (int)settings->init;
    if (result != DRIVER_SUCCESS || atomic_load(&process) != 0) {
        return result != DRIVER_SUCCESS ? result : fake_fault_strike(FAKE_cuInit, NULL);
    }
    result = fake_device_start();
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    fake_settings_freeze(); /* what failed until here may be set otherwise and tried again */
    result = fake_fault_strike(FAKE_cuInit, NULL);
    if (result == DRIVER_SUCCESS) {
        result = fake_ledger_open();
    }
    if (result == DRIVER_SUCCESS) {
        fake_lock_mind_forks();
        atomic_store(&process, getpid());
    }
    return result;
}

int fake_cuInit(unsigned flags)
{
    int result = refusal();
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    fake_lock_take();
    return fake_entry_leave(start(flags));
}

int fake_cuDriverGetVersion(int *version)
{
    if (version == NULL) {
        return DRIVER_INVALID_VALUE;
    }
    int result = fake_entry_enter(FAKE_cuDriverGetVersion, FAKE_NOTHING);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    *version = (int)fake_settings_read()->version;
    return fake_entry_leave(DRIVER_SUCCESS);
}
