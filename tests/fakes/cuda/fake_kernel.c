/* fake_kernel: see fake_kernel.h. */
#include "tests/fakes/cuda/fake_kernel.h"

#include "tests/fakes/cuda/fake_lock.h"
#include "tests/fakes/cuda/fake_region.h"
#include "tests/pattern.h"

#include <assert.h>
#include <string.h>

#define WORD sizeof(uint64_t)
#define WORDS_MOST (UINT64_C(1) << 40) /* beyond any memory: the end of a range stays a number */

enum parameter { ADDRESS, WORDS, NUMBER, FIRST, ERRORS };

static const struct {
    const char *name;
    uint32_t parameters;
} kernels[] = {
#define KERNEL(field, name, parameters) {name, parameters},
#include "tests/fakes/cuda/kernel.def"
#undef KERNEL
};

static_assert(ERRORS + 1 == FAKE_PARAMETERS, "the longest list");

const char *fake_kernel_name(enum fake_kernel kernel)
{
    return kernels[kernel].name;
}

/* Which bytes it will touch. */
static void set_ranges(struct fake_operation *made)
{
    uint64_t bytes = made->parameter[WORDS] * WORD;
    if (made->kernel == FAKE_KERNEL_spin) {
        return;
    }
    if (made->parameter[WORDS] > WORDS_MOST) {
        made->is_revoked = true; /* an illegal address as soon as it runs */
        return;
    }
    if (made->kernel == FAKE_KERNEL_fill) {
        made->ranges[0] = (struct fake_range){.to = made->parameter[ADDRESS], .bytes = bytes};
    } else {
        made->ranges[0] = (struct fake_range){.from = made->parameter[ADDRESS], .bytes = bytes};
        made->ranges[1] = (struct fake_range){.to = made->parameter[ERRORS], .bytes = WORD};
    }
}

struct fake_operation *fake_kernel_make(enum fake_kernel kernel, void *const parameters[])
{
    size_t ranges = kernel == FAKE_KERNEL_check ? 2 : kernel == FAKE_KERNEL_fill ? 1 : 0;
    struct fake_operation *made = fake_operation_make(FAKE_KERNEL, FAKE_cuLaunchKernel, ranges);
    if (made == NULL) {
        return NULL;
    }
    made->what = kernels[kernel].name;
    made->kernel = kernel;
    made->sides = FAKE_TO_DEVICE | FAKE_FROM_DEVICE;
    for (uint32_t i = 0; i < kernels[kernel].parameters; i++) {
        memcpy(&made->parameter[i], parameters[i], sizeof made->parameter[i]);
    }
    set_ranges(made);
    return made;
}

bool fake_kernel_is_aligned(const struct fake_operation *operation)
{
    for (size_t i = 0; i < operation->count; i++) {
        if (operation->ranges[i].to % WORD != 0 || operation->ranges[i].from % WORD != 0) {
            return false;
        }
    }
    return true;
}

static void fill(const struct fake_operation *operation)
{
    uint64_t *words = fake_region_pointer(operation->parameter[ADDRESS]);
    for (uint64_t i = 0; i < operation->parameter[WORDS]; i++) {
        words[i] =
            pattern_word(operation->parameter[NUMBER], (operation->parameter[FIRST] + i) * WORD);
    }
}

static void check(const struct fake_operation *operation)
{
    const uint64_t *words = fake_region_pointer(operation->parameter[ADDRESS]);
    uint64_t *errors = fake_region_pointer(operation->parameter[ERRORS]);
    for (uint64_t i = 0; i < operation->parameter[WORDS]; i++) {
        *errors += words[i] != pattern_word(operation->parameter[NUMBER],
                                   (operation->parameter[FIRST] + i) * WORD);
    }
}

void fake_kernel_run(const struct fake_operation *operation)
{
    switch (operation->kernel) {
    case FAKE_KERNEL_fill:
        fill(operation);
        return;
    case FAKE_KERNEL_check:
        check(operation);
        return;
    case FAKE_KERNEL_spin:
        fake_lock_nap(operation->parameter[0]);
        return;
    case FAKE_KERNELS:
        break;
    }
    assert(false);
}
