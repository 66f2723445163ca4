/* cpu: may this process spin? Called once, by libclient/open. */
#ifndef CISTERN_LIBCLIENT_CPU_H
#define CISTERN_LIBCLIENT_CPU_H

#include <stdint.h>

/* How long a waiting thread should spin before it sleeps: about the time of one service, or 0 where
 * fewer than two processors (affinity, cgroup quota) are there for both sides. */
uint64_t cpu_spin_ns(void);

#endif
