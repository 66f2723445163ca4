/* fake_violation: what the process did against the rules: counted, and the first one described.
 * With strict=1 the first ends the process. All under the lock. */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_VIOLATION_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_VIOLATION_H

#include <stdint.h>

__attribute__((format(printf, 1, 2))) void fake_violation(const char *format, ...);

uint64_t fake_violation_count(void);
const char *fake_violation_first(void); /* stays as it is once there is one */

#endif
