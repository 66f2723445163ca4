/* footprint: see footprint.h. */
#include "bench/footprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t footprint_lane_bytes(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    uint64_t bytes = 0;
    char line[512];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uint64_t from;
        uint64_t to;
        if (strstr(line, "cistern-lane-") != NULL &&
            sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2) {
            bytes += to - from;
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return bytes;
}

uint64_t footprint_cpu_ns(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *stat = fopen(path, "re");
    uint64_t ns = 0;
    if (stat != NULL) {
        if (fscanf(stat, "%" SCNu64, &ns) != 1) {
            ns = 0;
        }
        (void)fclose(stat);
    }
    return ns;
}
