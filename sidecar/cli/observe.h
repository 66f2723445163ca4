/* observe: attaches to a sidecar as a reader of its index, for tools.
 *
 * Called by the commands of cistern. Nothing is asked of the sidecar after the hello: the index is
 * mapped read-only and read as it changes.
 */
#ifndef CISTERN_SIDECAR_CLI_OBSERVE_H
#define CISTERN_SIDECAR_CLI_OBSERVE_H

#include "shm/hello.h"
#include "shm/layout.h"
#include "shm/segment.h"

#include <stddef.h>

#define OBSERVE_SOCKET "/run/cistern/cistern.sock"

struct observe {
    struct welcome welcome; /* with the lines of `info` */
    struct segment segment;
    struct index_view index;
};

/* Ask the sidecar at `path`. Returns 0 or a status, and then `why` with the remedy. */
int observe_open(struct observe *out_observe, const char *path, char *why, size_t why_bytes);
void observe_close(struct observe *observe);

#endif
