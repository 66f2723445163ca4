/* fake_ledger: device memory as files of a folder that all processes of a user share.
 *
 *   a file's name:  kind - uuid - handle types - pid - number     its size: the memory's
 *
 * Who makes a file holds a shared lock on its open description, which dup(), SCM_RIGHTS and mmap()
 * share: the lock lasts until the last descriptor and mapping of it in any process is gone, however
 * that process ended. So memory in use = files whose lock is held; the others are swept.
 */
#ifndef CISTERN_TESTS_FAKES_CUDA_FAKE_LEDGER_H
#define CISTERN_TESTS_FAKES_CUDA_FAKE_LEDGER_H

#include "cuda/driver.h"

#include <sys/types.h>

#define FAKE_LEDGER_NAME 64 /* the bytes of a cuIpc or fabric handle, which holds the name */
#define FAKE_LEDGER_VMM 'v'
#define FAKE_LEDGER_LEGACY 'l'

struct fake_file {
    char name[FAKE_LEDGER_NAME];
    char kind; /* FAKE_LEDGER_… */
    int handle_types; /* DRIVER_HANDLE_…, fixed when it was made */
    pid_t pid; /* of the maker, as the maker sees it */
    struct driver_uuid uuid;
    uint64_t bytes;
    uint64_t space; /* the same number for the same memory, wherever it is mapped */
};

/* All under the lock. Results are the driver's. */
int fake_ledger_open(void);

/* Make memory of file->kind, handle_types, uuid and bytes; the rest is filled in. OUT_OF_MEMORY if
 * the device has not so much left. */
int fake_ledger_create(struct fake_file *file, uint64_t total_bytes, int *out_fd);

/* Open a file by its name, with a lock of its own. INVALID_VALUE if nobody holds it any more. */
int fake_ledger_join(const char *name, struct fake_file *out_file, int *out_fd);

/* What memory a descriptor is of, if it is of ours; else INVALID_VALUE. */
int fake_ledger_identify(int fd, struct fake_file *out_file);

bool fake_ledger_read_name(const char *name, struct fake_file *out_file);
bool fake_ledger_is_held(const char *name);
uint64_t fake_ledger_used(const struct driver_uuid *uuid);

/* How many words the streams of all processes have written. */
_Atomic uint64_t *fake_ledger_generation(void);

#endif
