/* config_print: --print-config and --help, from the table. Called by main. */
#include "sidecar/config.h"

#include "sidecar/config_table.h"

#include <ctype.h>
#include <string.h>

#define COLUMN 40 /* where comments begin */

static const char *const kind[] = {
    [CONFIG_VALUE_path] = "PATH",
    [CONFIG_VALUE_paths] = "PATH:PATH",
    [CONFIG_VALUE_devices] = "DEVICES",
    [CONFIG_VALUE_mode] = "OCTAL",
    [CONFIG_VALUE_users] = "USERS",
    [CONFIG_VALUE_size] = "SIZE",
    [CONFIG_VALUE_time] = "TIME",
    [CONFIG_VALUE_choice] = "",
    [CONFIG_VALUE_number] = "NUMBER",
};

static void write_source(const struct config *config, uint32_t option, char *out_text, size_t bytes)
{
    const struct config_source *source = &config->source[option];
    switch (source->from) {
    case CONFIG_BUILT_IN:
        (void)snprintf(out_text, bytes, "built-in");
        break;
    case CONFIG_FROM_FILE:
        (void)snprintf(out_text, bytes, "line %u of the file", source->line);
        break;
    case CONFIG_FROM_ENVIRONMENT:
        (void)snprintf(out_text, bytes, "environment");
        break;
    case CONFIG_FROM_FLAG:
        (void)snprintf(out_text, bytes, "flag");
        break;
    }
}

void config_print(const struct config *config, FILE *out)
{
    (void)fprintf(out, "; file: %s\n[cistern]\n", config->file[0] == '\0' ? "none" : config->file);
    for (uint32_t option = 0; option < CONFIG_OPTIONS; option++) {
        char value[CONFIG_VALUE_BYTES];
        char source[64];
        const char *name = config_table_row(option)->name;
        config_value_write(config_table_row(option), config_table_value(config, option), value);
        write_source(config, option, source, sizeof source);
        int pad = COLUMN - (int)strlen(name) - 3;
        if (config->source[option].automatic) {
            bool known = strcmp(value, "auto") != 0;
            (void)fprintf(out, "%s = %-*s ; %s%s%s\n", name, pad, "auto", known ? value : "",
                known ? " on this host, " : "", source);
        } else if ((int)strlen(value) <= pad) {
            (void)fprintf(out, "%s = %-*s ; %s\n", name, pad, value, source);
        } else {
            (void)fprintf(out, "; %s\n%s = %s\n", source, name, value);
        }
    }
}

static void help_option(const struct config_row *row, FILE *out)
{
    char flag[64];
    char variable[64];
    size_t i = 0;
    for (; row->name[i] != '\0' && i + 1 < sizeof flag; i++) {
        flag[i] = row->name[i] == '_' ? '-' : row->name[i];
        variable[i] = (char)toupper((unsigned char)row->name[i]);
    }
    flag[i] = '\0';
    variable[i] = '\0';
    const char *words = row->type == CONFIG_VALUE_choice ? row->unit : kind[row->type];
    if (row->type == CONFIG_VALUE_paths && row->most == 1) {
        words = kind[CONFIG_VALUE_path];
    }
    const char *built_in = row->built_in[0] == '\0' ? "none" : row->built_in;
    (void)fprintf(out, "  --%s=%s\n      %s\n      default %s; CISTERN_%s%s\n", flag, words,
        row->sentence, built_in, variable, row->reloadable ? "; read again on SIGHUP" : "");
}

void config_help(FILE *out)
{
    (void)fprintf(out,
        "usage: cisternd [--name=value ...]\n"
        "\n"
        "Keeps KV-cache blocks in shared memory for all inference processes of this host.\n"
        "Each option may also stand in the file as `name = value`, or in the environment; flags "
        "win\n"
        "over the environment, the environment over the file.\n"
        "\n"
        "  --config=PATH\n"
        "      the file; default " CONFIG_FILE " if it is there\n"
        "  --print-config\n"
        "      print every value and where it came from, and exit\n"
        "  --explain\n"
        "      print what this host offers and what would be chosen, and exit\n"
        "  --no-keeper\n"
        "      as --keeper=no\n"
        "  --help, --version\n"
        "      print this, or the version, and exit\n"
        "\n"
        "SIZE is a whole number and B, KiB, MiB, GiB or TiB; TIME one and ns, us, ms, s or min;\n"
        "USERS is all, or names, numbers and self with commas between them; DEVICES is auto, all,\n"
        "none, or UUIDs as nvidia-smi -L prints them (GPU-..., MIG-...), or their beginnings, "
        "with\n"
        "commas between them.\n"
        "\n");
    for (uint32_t option = 0; option < CONFIG_OPTIONS; option++) {
        help_option(config_table_row(option), out);
    }
}
