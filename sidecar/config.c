/* config: reads the four sources, the last one wins. See config.h for the rules. */
#include "sidecar/config.h"

#include "shm/status.h"
#include "sidecar/config_table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

#define PREFIX "CISTERN_"

/* Variables of that prefix that are no options: the tests' own. */
static const char *const foreign[] = {"CISTERN_TRACES", "CISTERN_SEED"};

/* One reading of the sources; `why` keeps the first thing that was wrong. */
struct reading {
    struct config config;
    char *why;
    size_t why_bytes;
    int status;
    FILE *file;
    uint32_t line; /* of the file: inih does not say which it is at */
};

__attribute__((format(printf, 2, 3))) static int refuse(
    struct reading *reading, const char *format, ...)
{
    if (reading->status == STATUS_OK) {
        va_list values;
        va_start(values, format);
        (void)vsnprintf(reading->why, reading->why_bytes, format, values);
        va_end(values);
        reading->status = STATUS_INVALID;
    }
    return STATUS_INVALID;
}

/* Set one option; `where` names the source for people. */
static int set(struct reading *reading, uint32_t option, const char *text, enum config_from from,
    uint32_t line, const char *where)
{
    const struct config_row *row = config_table_row(option);
    char wrong[512];
    void *field = config_table_field(&reading->config, option);
    if (config_value_read(row, text, field, wrong, sizeof wrong) != STATUS_OK) {
        return refuse(reading, "%s: %s: %s", where, row->name, wrong);
    }
    reading->config.source[option] = (struct config_source){.from = from,
        .line = line,
        .automatic = config_value_may_be_auto(row) && strcmp(text, "auto") == 0};
    return STATUS_OK;
}

static void read_built_in(struct reading *reading)
{
    for (uint32_t option = 0; option < CONFIG_OPTIONS; option++) {
        int status = set(
            reading, option, config_table_row(option)->built_in, CONFIG_BUILT_IN, 0, "config.def");
        assert(status == STATUS_OK);
        (void)status;
    }
}

/* For inih: like fgets(), and counts. A line that does not fit would go on as a line of its own. */
static char *next_line(char *out_line, int room, void *context)
{
    struct reading *reading = context;
    if (fgets(out_line, room, reading->file) == NULL) {
        return NULL;
    }
    reading->line++;
    if (strchr(out_line, '\n') == NULL && !feof(reading->file)) {
        (void)refuse(reading, "%s:%u: longer than %d bytes; make the line shorter",
            reading->config.file, reading->line, room - 2);
    }
    return out_line;
}

/* For inih: one "name = value". Returns 0 to say that it is wrong. */
static int take_pair(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    char where[sizeof reading->config.file + 16];
    (void)snprintf(where, sizeof where, "%s:%u", reading->config.file, reading->line);
    if (section[0] != '\0' && strcmp(section, "cistern") != 0) {
        (void)refuse(
            reading, "%s: unknown section [%.64s]; use [cistern], or none", where, section);
        return 0;
    }
    uint32_t option = config_table_find(name, strlen(name));
    if (option == CONFIG_OPTIONS) {
        (void)refuse(
            reading, "%s: unknown name \"%.64s\"; cisternd --help lists all names", where, name);
        return 0;
    }
    const struct config_source *source = &reading->config.source[option];
    if (source->from == CONFIG_FROM_FILE) {
        (void)refuse(reading, "%s: %s was set in line %u already; remove one of the two", where,
            config_table_row(option)->name, source->line);
        return 0;
    }
    return set(reading, option, value, CONFIG_FROM_FILE, reading->line, where) == STATUS_OK;
}

static int read_file(struct reading *reading, const char *path, bool must_exist)
{
    if (strlen(path) >= sizeof reading->config.file) {
        return refuse(reading, "flag --config: the path is too long");
    }
    reading->file = fopen(path, "re");
    if (reading->file == NULL) {
        if (!must_exist && (errno == ENOENT || errno == ENOTDIR)) {
            return STATUS_OK;
        }
        return refuse(
            reading, "%s: %s; name a file that can be read with --config", path, strerror(errno));
    }
    (void)snprintf(reading->config.file, sizeof reading->config.file, "%s", path);
    int line = ini_parse_stream(next_line, reading, take_pair, reading);
    bool broken = ferror(reading->file) != 0;
    (void)fclose(reading->file);
    if (broken) {
        return refuse(reading, "%s: it cannot be read; name another with --config", path);
    }
    if (line != 0) {
        /* Kept only if nothing better was said: inih itself did not understand the line. */
        return refuse(reading, "%s:%d: not understood; write name = value", path, line);
    }
    return reading->status;
}

static int read_environment(struct reading *reading, char *const environment[])
{
    for (; *environment != NULL && reading->status == STATUS_OK; environment++) {
        const char *variable = *environment;
        const char *end = strchr(variable, '=');
        if (strncmp(variable, PREFIX, sizeof PREFIX - 1) != 0 || end == NULL) {
            continue;
        }
        char where[128];
        char name[64] = "";
        size_t length = (size_t)(end - variable);
        bool known = false;
        for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
            known = known ||
                    (strlen(foreign[i]) == length && strncmp(variable, foreign[i], length) == 0);
        }
        if (known) {
            continue;
        }
        (void)snprintf(
            where, sizeof where, "environment %.*s", length < 64 ? (int)length : 64, variable);
        const char *suffix = variable + sizeof PREFIX - 1;
        for (size_t i = 0; suffix + i < end && i + 1 < sizeof name; i++) {
            /* Lower case of ours is no name of a variable: it would be two names for one thing. */
            name[i] =
                (char)(islower((unsigned char)suffix[i]) ? '?' : tolower((unsigned char)suffix[i]));
        }
        uint32_t option = config_table_find(name, strlen(name));
        if (option == CONFIG_OPTIONS) {
            return refuse(reading, "%s: unknown name; cisternd --help lists all names", where);
        }
        (void)set(reading, option, end + 1, CONFIG_FROM_ENVIRONMENT, 0, where);
    }
    return reading->status;
}

/* The switch of that name, or NULL. */
static bool *find_switch(struct config *config, const char *flag)
{
    if (strcmp(flag, "--help") == 0) {
        return &config->help;
    }
    if (strcmp(flag, "--version") == 0) {
        return &config->version;
    }
    if (strcmp(flag, "--print-config") == 0) {
        return &config->print_config;
    }
    return strcmp(flag, "--explain") == 0 ? &config->explain : NULL;
}

/* Both passes over the flags: the first looks for --config alone, which is read before the others
 * count. `*out_path` is set if it was there. */
static int read_flags(
    struct reading *reading, int argc, char *const argv[], bool first, const char **out_path)
{
    for (int i = 1; i < argc && reading->status == STATUS_OK; i++) {
        assert(argv[i] != NULL);
        /* The one option that is mostly wanted off. */
        const char *flag = strcmp(argv[i], "--no-keeper") == 0 ? "--keeper=no" : argv[i];
        bool *on = find_switch(&reading->config, flag);
        if (on != NULL) {
            *on = true;
            continue;
        }
        char where[128];
        size_t length = strcspn(flag, "=");
        (void)snprintf(where, sizeof where, "flag %.*s", length < 64 ? (int)length : 64, flag);
        if (strncmp(flag, "--", 2) != 0) {
            return refuse(
                reading, "%s: not a flag; write --name=value, see cisternd --help", where);
        }
        bool file = length == 8 && memcmp(flag, "--config", 8) == 0;
        uint32_t option = config_table_find(flag + 2, length - 2);
        if (!file && option == CONFIG_OPTIONS) {
            return refuse(reading, "%s: unknown flag; cisternd --help lists all flags", where);
        }
        const char *text = flag[length] == '=' ? flag + length + 1 : argv[++i];
        if (i >= argc) {
            return refuse(reading, "%s: no value; write %.*s=value", where, (int)length, flag);
        }
        if (file) {
            *out_path = text;
        } else if (!first) {
            (void)set(reading, option, text, CONFIG_FROM_FLAG, 0, where);
        }
    }
    return reading->status;
}

int config_load(struct config *out_config, int argc, char *const argv[], char *const environment[],
    char *why, size_t why_bytes)
{
    assert(argc >= 1 && why_bytes > 0);
    struct reading reading = {.why = why, .why_bytes = why_bytes};
    const char *path = NULL;
    why[0] = '\0';
    read_built_in(&reading);
    if (read_flags(&reading, argc, argv, true, &path) != STATUS_OK) {
        return reading.status;
    }
    if (reading.config.help || reading.config.version) {
        /* Whoever asks for help may have a broken file. */
        *out_config = reading.config;
        return STATUS_OK;
    }
    if (read_file(&reading, path == NULL ? CONFIG_FILE : path, path != NULL) == STATUS_OK &&
        read_environment(&reading, environment) == STATUS_OK &&
        read_flags(&reading, argc, argv, false, &path) == STATUS_OK) {
        *out_config = reading.config;
    }
    return reading.status;
}

bool config_users_has(const struct config_users *users, uint32_t uid)
{
    for (uint32_t i = 0; i < users->count; i++) {
        if (users->uid[i] == uid) {
            return true;
        }
    }
    return users->all;
}
