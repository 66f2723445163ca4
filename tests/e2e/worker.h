/* worker: an inference worker's side of a test, by the public header alone.
 *
 * Runs in a child (child.h). Blocks are known by a number: it makes the key, and every byte, so
 * that whoever reads one can say whether it is the right one.
 */
#ifndef CISTERN_TESTS_E2E_WORKER_H
#define CISTERN_TESTS_E2E_WORKER_H

#include "libclient/include/cistern.h"

#include "tests/e2e/child.h"

#define WORKER_BLOCK_BYTES 65536u
#define WORKER_WAIT_NS INT64_C(20000000000)

/* Attach to the sidecar at `socket`, in the tests' namespace. Ends the process if it cannot. */
cistern_t *worker_open(struct child_page *page, const char *socket, uint32_t flags);

/* The same, with a device (cistern_options.device). */
cistern_t *worker_open_on(
    struct child_page *page, const char *socket, uint32_t flags, const char *device);

/* worker_open(), returning the status. `pins` 0: the default. */
int worker_try_open(const char *socket, uint32_t flags, uint32_t pins, cistern_t **out_handle);

/* The key of block `number`. */
struct cistern_key worker_key(uint64_t number);

/* The bytes of block `number`; is every byte of a block as it should be? */
void worker_fill(void *data, uint64_t bytes, uint64_t number);
bool worker_is_right(const void *data, uint64_t bytes, uint64_t number);

/* Reserve, fill and commit block `number`, and wait until it is handled. Ends the process on
 * failure. */
void worker_put(struct child_page *page, cistern_t *handle, uint64_t number);

/* Acquire block `number`, compare all its bytes, release it. Returns the status of the acquire;
 * ends the process on a wrong byte. */
int worker_look(struct child_page *page, cistern_t *handle, uint64_t number);

/* worker_look() until it hits; ends the process if it never does. */
void worker_find(struct child_page *page, cistern_t *handle, uint64_t number);

#endif
