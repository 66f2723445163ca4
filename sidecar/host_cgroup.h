/* host_cgroup: what the container that we are in may use; versions 1 and 2. Called by host.c. */
#ifndef CISTERN_SIDECAR_HOST_CGROUP_H
#define CISTERN_SIDECAR_HOST_CGROUP_H

#include <stdint.h>

/* UINT64_MAX: no limit. */
struct host_cgroup {
    uint64_t cpu_quota_milli; /* thousandths of a CPU */
    uint64_t memory_limit_bytes;
    uint64_t
        memory_room_bytes; /* that may still be used, counting file cache that would give way */
};

/* The tightest limit of our group and of all above it. */
void host_cgroup_read(const char *root, struct host_cgroup *out_group);

#endif
