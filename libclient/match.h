/* match: is a block hot, as far as can be told without a pin? For libclient/claim and
 * cistern_match(). */
#ifndef CISTERN_LIBCLIENT_MATCH_H
#define CISTERN_LIBCLIENT_MATCH_H

#include "libclient/attach.h"

#include <stdbool.h>

bool match_is_hot(const struct attach *attach, const struct key *key);

#endif
