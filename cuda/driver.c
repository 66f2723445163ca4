/* driver: dlopen, then one table, entry by entry. See driver.h. */
#include "cuda/driver.h"

#include "shm/status.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libcuda.so.1" /* not libcuda.so: that finds the toolkit's stub */
#define FOUND 0

/* cuGetProcAddress() of 12000, and of 11030, which has no last argument. */
typedef int find_entry(const char *name, void **entry, int version, uint64_t flags, int *found);
typedef int find_entry_old(const char *name, void **entry, int version, uint64_t flags);

struct finder {
    find_entry *find;
    find_entry_old *find_old;
};

/* What a result of cuInit() means, and what helps. */
static const struct {
    int first;
    int last;
    int status;
    const char *text;
} refusals[] = {
    {DRIVER_STUB_LIBRARY, DRIVER_STUB_LIBRARY, STATUS_UNSUPPORTED,
        "libcuda.so.1 is the toolkit's stub, not a driver; remedy: take its folder out of "
        "LD_LIBRARY_PATH"},
    {DRIVER_NO_DEVICE, DRIVER_NO_DEVICE, STATUS_UNSUPPORTED,
        "the driver sees no GPU; remedy: give the container one (--gpus, a device plugin), or "
        "look at CUDA_VISIBLE_DEVICES"},
    {DRIVER_MISMATCH, DRIVER_COMPAT, STATUS_UNSUPPORTED,
        "library and kernel module of the driver are of two versions; remedy: restart after the "
        "driver's upgrade, or use the host's libcuda.so.1 in the container"},
    {DRIVER_SYSTEM_NOT_READY, DRIVER_SYSTEM_NOT_READY, STATUS_BUSY,
        "the driver's services are not up yet; remedy: start nvidia-persistenced, and "
        "nvidia-fabricmanager where there are NVSwitches"},
    {DRIVER_MPS_FIRST, DRIVER_MPS_LAST, STATUS_UNSUPPORTED,
        "the driver's MPS server refuses; remedy: let the sidecar and all workers be its clients, "
        "or none of them"},
};

static bool find(const struct finder *finder, const char *name, int version, void **out_entry)
{
    int found = FOUND;
    void *entry = NULL;
    int result = finder->find != NULL ? finder->find(name, &entry, version, 0, &found)
                                      : finder->find_old(name, &entry, version, 0);
    if (result != DRIVER_SUCCESS || found != FOUND || entry == NULL) {
        return false; /* SUCCESS with a NULL pointer means unsupported */
    }
    *out_entry = entry;
    return true;
}

static bool open_finder(void *library, struct finder *out_finder)
{
    union { /* POSIX lets data pointers be functions, ISO C does not say so */
        void *data;
        find_entry *find;
        find_entry_old *find_old;
    } entry;
    *out_finder = (struct finder){.find = NULL};
    entry.data = dlsym(library, "cuGetProcAddress_v2");
    if (entry.data != NULL) {
        out_finder->find = entry.find;
        return true;
    }
    entry.data = dlsym(library, "cuGetProcAddress");
    out_finder->find_old = entry.find_old;
    return entry.data != NULL;
}

/* Fill the table; `lacking` names the first entry that must be there and is not. */
static bool load(const struct finder *finder, struct driver *driver, const char **out_lacking)
{
    for (uint32_t need = 0; need < DRIVER_NEEDS; need++) {
        driver->has[need] = true;
    }
    *out_lacking = NULL;
#define ENTRY(need, field, name, version, parameters) \
    { \
        void *entry = NULL; \
        if (find(finder, name, version, &entry)) { \
            memcpy(&driver->field, &entry, sizeof entry); \
        } else { \
            driver->has[DRIVER_##need] = false; \
            if (DRIVER_##need == DRIVER_NEEDED && *out_lacking == NULL) { \
                *out_lacking = name; \
            } \
        } \
    }
#include "cuda/driver.def"
#undef ENTRY
    return *out_lacking == NULL;
}

static int refuse(int result, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (result >= refusals[i].first && result <= refusals[i].last) {
            (void)snprintf(why, why_bytes, "%s (cuInit: %d)", refusals[i].text, result);
            return refusals[i].status;
        }
    }
    (void)snprintf(why, why_bytes,
        "the driver does not start (cuInit: %d); remedy: nvidia-smi and the kernel's log say more",
        result);
    return STATUS_UNSUPPORTED;
}

static int start(struct driver *driver, char *why, size_t why_bytes)
{
    struct finder finder;
    if (!open_finder(driver->library, &finder)) {
        (void)snprintf(why, why_bytes,
            "the driver has no cuGetProcAddress; remedy: a driver of CUDA 11.4 or later");
        return STATUS_UNSUPPORTED;
    }
    const char *lacking;
    bool whole = load(&finder, driver, &lacking);
    /* The reason of a stub, or of a driver without a device, says more than what it lacks. */
    int result = driver->cuInit != NULL ? driver->cuInit(0) : DRIVER_SUCCESS;
    if (result != DRIVER_SUCCESS) {
        return refuse(result, why, why_bytes);
    }
    if (!whole) {
        (void)snprintf(why, why_bytes,
            "the driver has no %s; remedy: a driver of CUDA 11.4 or later", lacking);
        return STATUS_UNSUPPORTED;
    }
    if (driver->cuDriverGetVersion(&driver->version) != DRIVER_SUCCESS) {
        (void)snprintf(why, why_bytes, "the driver does not tell its version");
        return STATUS_UNSUPPORTED;
    }
    (void)snprintf(
        why, why_bytes, "CUDA driver %d.%d", driver->version / 1000, driver->version % 1000 / 10);
    return STATUS_OK;
}

int driver_open(struct driver *out_driver, char *why, size_t why_bytes)
{
    struct driver driver = {.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
    if (driver.library == NULL) {
        (void)snprintf(why, why_bytes,
            "no NVIDIA driver: %s; remedy: install it, or give the container the GPU", dlerror());
        return STATUS_UNSUPPORTED;
    }
    int status = start(&driver, why, why_bytes);
    if (status != STATUS_OK) {
        driver_close(&driver);
        return status;
    }
    *out_driver = driver;
    return STATUS_OK;
}

void driver_close(struct driver *driver)
{
    *driver = (struct driver){.library = NULL};
}

void driver_say(const struct driver *driver, int result, char *out_text, size_t text_bytes)
{
    const char *name = NULL;
    const char *text = NULL;
    if (driver->cuGetErrorName(result, &name) != DRIVER_SUCCESS ||
        driver->cuGetErrorString(result, &text) != DRIVER_SUCCESS) {
        (void)snprintf(out_text, text_bytes, "an error of the driver (%d)", result);
        return;
    }
    (void)snprintf(out_text, text_bytes, "%s: %s (%d)", name, text, result);
}

int driver_status(int result)
{
    switch (result) {
    case DRIVER_SUCCESS:
        return STATUS_OK;
    case DRIVER_INVALID_VALUE:
    case DRIVER_INVALID_DEVICE:
    case DRIVER_INVALID_CONTEXT:
    case DRIVER_INVALID_HANDLE:
        return STATUS_INVALID;
    case DRIVER_OUT_OF_MEMORY:
        return STATUS_NO_MEMORY;
    case DRIVER_NOT_READY:
    case DRIVER_SYSTEM_NOT_READY:
        return STATUS_BUSY;
    case DRIVER_MAP_FAILED:
    case DRIVER_ALREADY_MAPPED:
    case DRIVER_ALREADY_REGISTERED:
    case DRIVER_NOT_REGISTERED:
    case DRIVER_TOO_MANY_PEERS:
    case DRIVER_NOT_PERMITTED:
    case DRIVER_NOT_SUPPORTED:
        return STATUS_UNSUPPORTED;
    default:
        return STATUS_DEVICE_LOST; /* a sticky error, or one that nobody knows */
    }
}
