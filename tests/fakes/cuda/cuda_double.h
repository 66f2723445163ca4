/* cuda_double: what a test may ask of the double of the CUDA driver, beside the driver's own calls.
 *
 * The library is loaded as libcuda.so.1; a test finds these with dlsym() on `driver.library`. The
 * same faults come from outside by the variable CUDA_DOUBLE (README.md). Any thread may call.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_CUDA_DOUBLE_H
#define CISTERN_TESTS_FAKES_CUDA_CUDA_DOUBLE_H

#include <stdint.h>

/* The call number `nth` from now of the entry `name` returns `result`, once; 0: every call does.
 * Returns 0, or -1: no such entry, or too many faults. */
int cuda_double_fail(const char *name, uint64_t nth, int result);

/* As above, with 700; and the context of the caller stays broken until the process ends. */
int cuda_double_break(const char *name, uint64_t nth);

/* How late each copy, fill and written word is from now on. */
void cuda_double_delay_us(uint64_t delay_us);

/* Forget all faults that have not struck yet. A broken context stays broken. */
void cuda_double_reset_faults(void);

/* What this process did against the rules of order and lifetime: the count; the first, or "". */
uint64_t cuda_double_violations(void);
const char *cuda_double_first_violation(void);

#endif
