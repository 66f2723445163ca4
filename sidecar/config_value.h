/* config_value: one option's value: from text, to text.
 *
 * Called by config.c for every source alike, and by config_print.c. Always: a text that is accepted
 * prints as a text that means the same.
 */
#ifndef CISTERN_SIDECAR_CONFIG_VALUE_H
#define CISTERN_SIDECAR_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_VALUE_BYTES 1024u /* room for the text of any value */

enum config_value_type {
    CONFIG_VALUE_path,
    CONFIG_VALUE_paths,
    CONFIG_VALUE_devices,
    CONFIG_VALUE_mode,
    CONFIG_VALUE_users,
    CONFIG_VALUE_size,
    CONFIG_VALUE_time,
    CONFIG_VALUE_choice,
    CONFIG_VALUE_number
};

/* A row of config.def. */
struct config_row {
    const char *name;
    enum config_value_type type;
    const char *built_in;
    int64_t least;
    int64_t most;
    const char *unit;
    bool reloadable;
    const char *sentence;
    size_t offset; /* of the field in struct config */
    size_t bytes; /* of the field */
};

/* May the option be "auto"? */
bool config_value_may_be_auto(const struct config_row *row);

/* Read `text` into the field. `why` then says what is wrong and the remedy.
 * Returns 0 or STATUS_INVALID; then the field is not set. */
int config_value_read(
    const struct config_row *row, const char *text, void *out_field, char *why, size_t why_bytes);

/* Write the field as text: CONFIG_VALUE_BYTES of room. A size or time that is not yet decided is
 * "auto". */
void config_value_write(const struct config_row *row, const void *field, char *out_text);

#endif
