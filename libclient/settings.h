/* settings: a caller's options, checked, with the defaults filled in. Called by libclient/open. */
#ifndef CISTERN_LIBCLIENT_SETTINGS_H
#define CISTERN_LIBCLIENT_SETTINGS_H

#include "libclient/core.h"

/* Check `options` and write what follows from them into a fresh handle: what every attach asks
 * for, the path, the root of its keys. Nothing of `options` is kept by reference. Returns 0,
 * STATUS_INVALID, STATUS_UNSUPPORTED, STATUS_NO_MEMORY or STATUS_INTERNAL. */
int settings_read(const struct cistern_options *options, struct cistern *handle);

/* How long open may take. `options` was checked. */
int64_t settings_timeout_ns(const struct cistern_options *options);

/* The device that they name; NULL: none, or the caller knows no such option. They were checked. */
const char *settings_device(const struct cistern_options *options);

#endif
