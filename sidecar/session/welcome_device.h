/* welcome_device: the GPU of a session: which of the sidecar's it uses, and what it is given of it.
 *
 * Called by welcome, on the server's loop, in the order of the calls below. Always: a session that
 * cannot have its device is let in all the same, with host memory alone, and told why.
 */
#ifndef CISTERN_SIDECAR_SESSION_WELCOME_DEVICE_H
#define CISTERN_SIDECAR_SESSION_WELCOME_DEVICE_H

#include "shm/hello.h"
#include "sidecar/session/session.h"
#include "sidecar/session/welcome.h"

#include <stddef.h>
#include <stdint.h>

/* Give the session the device that it asks for: its number, and a use of its size class. Returns
 * 0; or a status and `why`, and the session has none. */
int welcome_device_choose(struct session *session, const struct hello *hello,
    const struct welcome_gifts *gifts, char *why, size_t why_bytes);

/* Pins a seat that the session may have for the sake of its device, at most: no client holds more
 * than half of it. Sets how many slots of it may be lent to the session at one time. */
uint64_t welcome_device_quotas(struct session *session, const struct welcome_gifts *gifts,
    uint32_t seats, uint32_t grants_asked);

/* Say in the welcome what the device's memory is, and add its descriptors behind the first
 * `welcome->fds` of `fds`, which has room for HELLO_FDS. */
void welcome_device_fill(const struct session *session, const struct welcome_gifts *gifts,
    struct welcome *welcome, int *fds);

#endif
