/* kernels: see kernels.h. */
#include "tests/gpu-double/kernels.h"

#include <dlfcn.h>
#include <string.h>

#define THREADS 128u /* of a block */
#define BLOCKS_MOST 64u

typedef int find_entry(const char *name, void **entry, int version, uint64_t flags, int *found);

/* By its version where the driver can; before CUDA 12.0 the plain name has the one version that
 * there is. */
static void find(
    struct child_page *page, void *library, const char *name, int version, void *out_entry)
{
    union {
        void *data;
        find_entry *find;
    } finder = {.data = dlsym(library, "cuGetProcAddress_v2")};
    void *entry = NULL;
    int found = 0;
    if (finder.data == NULL) {
        entry = dlsym(library, name);
    } else if (finder.find(name, &entry, version, 0, &found) != DRIVER_SUCCESS || found != 0) {
        entry = NULL;
    }
    child_need(page, entry != NULL, "the driver has no %s", name);
    memcpy(out_entry, &entry, sizeof entry);
}

void kernels_open(struct kernels *kernels, struct child_page *page, void *library)
{
    *kernels = (struct kernels){.page = page};
#define ENTRY(need, field, name, version, parameters) \
    find(page, library, name, version, &kernels->driver.field);
#include "tests/fakes/cuda/module.def"
#undef ENTRY
    int result = kernels->driver.cuModuleLoadData(&kernels->module, kernels_ptx);
    child_need(page, result == DRIVER_SUCCESS, "the kernels are not loaded: %d", result);
#define KERNEL(field, name, parameters) \
    result = kernels->driver.cuModuleGetFunction(&kernels->function.field, kernels->module, name); \
    child_need(page, result == DRIVER_SUCCESS, "no %s: %d", name, result);
#include "tests/fakes/cuda/kernel.def"
#undef KERNEL
}

void kernels_close(struct kernels *kernels)
{
    int result = kernels->driver.cuModuleUnload(kernels->module);
    child_need(kernels->page, result == DRIVER_SUCCESS, "unload: %d", result);
    kernels->module = NULL;
}

/* `words`: how many threads have something to do. */
static void launch(const struct kernels *kernels, struct driver_function *function,
    struct driver_stream *stream, uint64_t words, void **parameters)
{
    uint64_t blocks = (words + THREADS - 1) / THREADS;
    unsigned grid = blocks < BLOCKS_MOST ? (unsigned)blocks : BLOCKS_MOST;
    unsigned threads = words < THREADS ? (unsigned)words : THREADS;
    int result = kernels->driver.cuLaunchKernel(
        function, grid, 1, 1, threads, 1, 1, 0, stream, parameters, NULL);
    child_need(kernels->page, result == DRIVER_SUCCESS, "launch: %d", result);
}

void kernels_fill(const struct kernels *kernels, struct driver_stream *stream, uint64_t address,
    uint64_t bytes, uint64_t number, uint64_t first)
{
    uint64_t words = bytes / sizeof(uint64_t);
    uint64_t first_word = first / sizeof(uint64_t);
    void *parameters[] = {&address, &words, &number, &first_word};
    launch(kernels, kernels->function.fill, stream, words, parameters);
}

void kernels_check(const struct kernels *kernels, struct driver_stream *stream, uint64_t address,
    uint64_t bytes, uint64_t number, uint64_t first, uint64_t errors)
{
    uint64_t words = bytes / sizeof(uint64_t);
    uint64_t first_word = first / sizeof(uint64_t);
    void *parameters[] = {&address, &words, &number, &first_word, &errors};
    launch(kernels, kernels->function.check, stream, words, parameters);
}

void kernels_spin(const struct kernels *kernels, struct driver_stream *stream, uint64_t nanoseconds)
{
    void *parameters[] = {&nanoseconds};
    launch(kernels, kernels->function.spin, stream, 1, parameters);
}
