/* fake_module: modules and their functions, and the launch of one.
 *
 * Nothing is compiled: a text that has an entry of one of the tests' kernels is taken at its word,
 * and the kernel is run in C (fake_kernel.h).
 */
#include "tests/fakes/cuda/fake_module.h"

#include "tests/fakes/cuda/fake_kernel.h"
#include "tests/fakes/cuda/fake_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALID_PTX 218
#define NOT_FOUND 500
#define THREADS_MOST 1024u /* of a block */

struct driver_function {
    bool is_there;
};

struct driver_module {
    struct driver_context *context;
    struct driver_function function[FAKE_KERNELS];
    struct driver_module *next;
};

static struct driver_module *modules;

/* The link to a module of the current context, or to NULL. */
static struct driver_module **find(const struct driver_module *module)
{
    struct driver_module **link = &modules;
    while (*link != NULL && (*link != module || module->context != fake_context_current())) {
        link = &(*link)->next;
    }
    return link;
}

/* Whose function it is: a kernel's number, or FAKE_KERNELS. */
static enum fake_kernel kernel_of(const struct driver_function *function)
{
    for (const struct driver_module *module = modules; module != NULL; module = module->next) {
        for (uint32_t i = 0; i < FAKE_KERNELS; i++) {
            if (&module->function[i] == function && module->context == fake_context_current()) {
                return (enum fake_kernel)i;
            }
        }
    }
    return FAKE_KERNELS;
}

static void end(struct driver_module **link)
{
    struct driver_module *module = *link;
    *link = module->next;
    free(module);
}

void fake_module_end(const struct driver_context *context)
{
    struct driver_module **link = &modules;
    while (*link != NULL) {
        if ((*link)->context == context) {
            end(link);
        } else {
            link = &(*link)->next;
        }
    }
}

static int load(struct driver_module **out_module, const char *text)
{
    struct driver_module *made = calloc(1, sizeof *made);
    uint32_t count = 0;
    if (made == NULL) {
        return DRIVER_OUT_OF_MEMORY;
    }
    for (uint32_t i = 0; i < FAKE_KERNELS; i++) {
        char entry[64];
        (void)snprintf(entry, sizeof entry, ".entry %s(", fake_kernel_name((enum fake_kernel)i));
        made->function[i].is_there = strstr(text, entry) != NULL;
        count += made->function[i].is_there;
    }
    if (count == 0) {
        free(made);
        return INVALID_PTX;
    }
    made->context = fake_context_current();
    made->next = modules;
    modules = made;
    *out_module = made;
    return DRIVER_SUCCESS;
}

int fake_cuModuleLoadData(struct driver_module **module, const void *image)
{
    int result = fake_entry_enter(FAKE_cuModuleLoadData, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    bool is_whole = module != NULL && image != NULL;
    return fake_entry_leave(is_whole ? load(module, image) : DRIVER_INVALID_VALUE);
}

int fake_cuModuleUnload(struct driver_module *module)
{
    int result = fake_entry_enter(FAKE_cuModuleUnload, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    struct driver_module **link = find(module);
    if (*link == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    end(link);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuModuleGetFunction(
    struct driver_function **function, struct driver_module *module, const char *name)
{
    int result = fake_entry_enter(FAKE_cuModuleGetFunction, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (function == NULL || name == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (*find(module) == NULL) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    for (uint32_t i = 0; i < FAKE_KERNELS; i++) {
        if (module->function[i].is_there &&
            strcmp(fake_kernel_name((enum fake_kernel)i), name) == 0) {
            *function = &module->function[i];
            return fake_entry_leave(DRIVER_SUCCESS);
        }
    }
    return fake_entry_leave(NOT_FOUND);
}

int fake_cuLaunchKernel(struct driver_function *function, unsigned grid_x, unsigned grid_y,
    unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
    struct driver_stream *stream, void **parameters, void **extra)
{
    int result = fake_entry_enter(FAKE_cuLaunchKernel, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    uint64_t blocks = (uint64_t)grid_x * grid_y * grid_z;
    uint64_t threads = (uint64_t)block_x * block_y * block_z;
    enum fake_kernel kernel = kernel_of(function);
    if (kernel == FAKE_KERNELS || fake_stream_find(stream) == NULL ||
        fake_stream_find(stream)->context != fake_context_current()) {
        return fake_entry_leave(DRIVER_INVALID_HANDLE);
    }
    if (blocks == 0 || threads == 0 || threads > THREADS_MOST || shared_bytes != 0 ||
        parameters == NULL || extra != NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    return fake_entry_leave(fake_stream_ask(stream, fake_kernel_make(kernel, parameters)));
}
