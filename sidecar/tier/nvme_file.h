/* nvme_file: the one file in a directory of the nvme tier: made, locked, recognized, watched.
 *
 * Opened by tier_nvme on the server's thread, looked at by the I/O thread, closed when that is
 * gone. Always: nothing is overwritten that is not ours by magic, and one process at a time has the
 * file. The lock is on the file itself and belongs to the open file: as long as the kernel still
 * writes for a killed process, nobody else gets it.
 */
#ifndef CISTERN_SIDECAR_TIER_NVME_FILE_H
#define CISTERN_SIDECAR_TIER_NVME_FILE_H

#include "sidecar/tier/nvme_format.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NVME_FILE_PATH 4096u
#define NVME_FILE_REGIONS_LEAST 4u /* one written, one ahead, one leaving, one to be read */

struct nvme_file {
    int fd; /* owned */
    bool direct; /* O_DIRECT */
    bool fresh; /* made now: it holds nothing */
    uint8_t uuid[NVME_FORMAT_UUID];
    uint64_t bytes;
    uint64_t region_bytes;
    uint32_t regions;
    dev_t device;
    ino_t number;
    char path[NVME_FILE_PATH];
};

/* Open or make the file of `bytes`, cut into regions. A file of ours of another size is made anew:
 * it is a cache. Waits up to three seconds for the lock. Returns 0; STATUS_BUSY, STATUS_IO,
 * STATUS_DENIED, STATUS_VERSION, STATUS_INVALID; `why` says what, and the remedy; when it is 0,
 * what a person should know, or "". */
int nvme_file_open(const char *directory, uint64_t bytes, uint64_t region_bytes,
    struct nvme_file *out_file, char *why, size_t why_bytes);

/* Is the file still there, and as large? Returns 0 or STATUS_IO, with `why` and the remedy. */
int nvme_file_look(const struct nvme_file *file, char *why, size_t why_bytes);

/* Unlocks it. Accepts one that is not open (fd -1). */
void nvme_file_close(struct nvme_file *file);

#endif
