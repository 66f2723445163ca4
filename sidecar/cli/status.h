/* status: `cistern status`: what a sidecar is, and what it counted. */
#ifndef CISTERN_SIDECAR_CLI_STATUS_H
#define CISTERN_SIDECAR_CLI_STATUS_H

#include "sidecar/cli/observe.h"

#include <stdbool.h>
#include <stdio.h>

/* Print it for people, or as one JSON object. */
void status_print(const struct observe *observe, bool json, FILE *out);

#endif
