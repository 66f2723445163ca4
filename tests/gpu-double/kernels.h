/* kernels: the tests' own work for a device: fill a block, check a block, take time.
 *
 *   kernels.ptx ─▶ text_to_c.py ─▶ kernels_ptx[] ─▶ cuModuleLoadData ─▶ cuLaunchKernel
 *
 * What each does is said in tests/fakes/cuda/kernel.def. In a child with a driver (bed, rig); all
 * calls end the process on failure. Those of kernels only put work into a stream.
 */
#ifndef CISTERN_TESTS_GPU_DOUBLE_KERNELS_H
#define CISTERN_TESTS_GPU_DOUBLE_KERNELS_H

#include "cuda/driver.h"
#include "tests/e2e/child.h"

struct driver_module;
struct driver_function;

struct kernels {
    struct child_page *page;
    struct driver_module *module;
    struct {
#define KERNEL(field, name, parameters) struct driver_function *field;
#include "tests/fakes/cuda/kernel.def"
#undef KERNEL
    } function;
    struct {
#define ENTRY(need, field, name, version, parameters) int(*field) parameters;
#include "tests/fakes/cuda/module.def"
#undef ENTRY
    } driver;
};

/* The text that the driver compiles. */
extern const char kernels_ptx[];

/* Load them by the driver that is open as `library`, into the context that is current; unload them,
 * when their streams have been waited for. */
void kernels_open(struct kernels *kernels, struct child_page *page, void *library);
void kernels_close(struct kernels *kernels);

/* The piece of block `number` that begins at byte `first` of it and lies at `address`: make it, or
 * add to the word at device address `errors` how many words of it are wrong. All are multiples of
 * 8 bytes; a block is below 1 MiB. */
void kernels_fill(const struct kernels *kernels, struct driver_stream *stream, uint64_t address,
    uint64_t bytes, uint64_t number, uint64_t first);
void kernels_check(const struct kernels *kernels, struct driver_stream *stream, uint64_t address,
    uint64_t bytes, uint64_t number, uint64_t first, uint64_t errors);

/* Let the stream be busy for so long. */
void kernels_spin(
    const struct kernels *kernels, struct driver_stream *stream, uint64_t nanoseconds);

#endif
