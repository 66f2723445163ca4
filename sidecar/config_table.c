/* config_table: one row an option, made from config.def. */
#include "sidecar/config_table.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define FIELD_path(name) name
#define FIELD_paths(name) name
#define FIELD_devices(name) name
#define FIELD_mode(name) name
#define FIELD_users(name) name
#define FIELD_size(name) name##_bytes
#define FIELD_time(name) name##_ns
#define FIELD_choice(name) name
#define FIELD_number(name) name

static const struct config_row rows[CONFIG_OPTIONS] = {
#define CONFIG(name, type, built_in, least, most, unit, reloadable, sentence) \
    {#name, CONFIG_VALUE_##type, built_in, least, most, unit, reloadable, sentence, \
        offsetof(struct config, FIELD_##type(name)), \
        sizeof(((struct config *)NULL)->FIELD_##type(name))},
#include "sidecar/config.def"
#undef CONFIG
};

const struct config_row *config_table_row(uint32_t option)
{
    assert(option < CONFIG_OPTIONS);
    return &rows[option];
}

uint32_t config_table_find(const char *name, size_t length)
{
    for (uint32_t option = 0; option < CONFIG_OPTIONS; option++) {
        const char *wanted = rows[option].name;
        size_t i = 0;
        while (i < length && (wanted[i] == name[i] || (wanted[i] == '_' && name[i] == '-'))) {
            i++;
        }
        if (i == length && wanted[i] == '\0') {
            return option;
        }
    }
    return CONFIG_OPTIONS;
}

void *config_table_field(struct config *config, uint32_t option)
{
    return (char *)config + config_table_row(option)->offset;
}

const void *config_table_value(const struct config *config, uint32_t option)
{
    return (const char *)config + config_table_row(option)->offset;
}
