/* fake_kernel: what the tests' kernels do (kernel.def), in C, in their turn in a stream.
 *
 * They take part in all that copies do: rights, order, lifetime, lateness. A check's counter is
 * taken as written, also where nothing was wrong.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_KERNEL_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_KERNEL_H

#include "tests/fakes/cuda/fake_operation.h"

#define FAKE_MISALIGNED 716

/* All under the lock. What it is called. */
const char *fake_kernel_name(enum fake_kernel kernel);

/* What a launch with these parameters shall do. NULL: no memory. */
struct fake_operation *fake_kernel_make(enum fake_kernel kernel, void *const parameters[]);

/* Words of 64 bits lie at multiples of 8. */
bool fake_kernel_is_aligned(const struct fake_operation *operation);

/* It may touch its ranges. Lets go of the lock while it spins. */
void fake_kernel_run(const struct fake_operation *operation);

#endif
