/* config_table: config.def as rows that the config_*.c files walk. Not for anybody else. */
#ifndef CISTERN_SIDECAR_CONFIG_TABLE_H
#define CISTERN_SIDECAR_CONFIG_TABLE_H

#include "sidecar/config.h"
#include "sidecar/config_value.h"

/* Row number `option`, in the order of enum config_option. */
const struct config_row *config_table_row(uint32_t option);

/* The option of that name, with dashes or underscores; CONFIG_OPTIONS if there is none. */
uint32_t config_table_find(const char *name, size_t length);

/* The field of a row. */
void *config_table_field(struct config *config, uint32_t option);
const void *config_table_value(const struct config *config, uint32_t option);

#endif
