/* config_value: parsers and printers of the option types. See config_value.h for the rules. */
#include "sidecar/config_value.h"

#include "shm/status.h"
#include "sidecar/config.h"

#include <assert.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Ascending: the largest that divides a value prints it. */
static const struct unit size_units[] = {{"B", 1}, {"KiB", CONFIG_KIB}, {"MiB", CONFIG_MIB},
    {"GiB", CONFIG_GIB}, {"TiB", CONFIG_TIB}, {NULL, 0}};
static const struct unit time_units[] = {{"ns", 1}, {"us", 1000}, {"ms", CONFIG_MS},
    {"s", 1000 * CONFIG_MS}, {"min", CONFIG_MIN}, {NULL, 0}};

bool config_value_may_be_auto(const struct config_row *row)
{
    return strcmp(row->built_in, "auto") == 0;
}

static void write_units(uint64_t value, const struct unit *units, char *out_text)
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name != NULL && value != 0; unit++) {
        if (value % unit->factor == 0) {
            best = unit;
        }
    }
    (void)snprintf(out_text, CONFIG_VALUE_BYTES, "%llu%s",
        (unsigned long long)(value / best->factor), best->name);
}

static const struct unit *units_of(const struct config_row *row)
{
    return row->type == CONFIG_VALUE_size ? size_units : time_units;
}

/* Digits of one base, nothing else; strtoull() would take signs, spaces and octals. Returns the end
 * of the digits, or NULL: none there, or more than 63 bits. */
static const char *read_digits(const char *text, unsigned base, uint64_t *out_value)
{
    uint64_t value = 0;
    const char *end = text;
    for (; *end >= '0' && *end < (char)('0' + base); end++) {
        if (value > ((uint64_t)INT64_MAX - 9) / base) {
            return NULL;
        }
        value = value * base + (uint64_t)(*end - '0');
    }
    *out_value = value;
    return end == text ? NULL : end;
}

static int read_units(
    const struct config_row *row, const char *text, uint64_t *out_value, char *why, size_t bytes)
{
    bool size = row->type == CONFIG_VALUE_size;
    const char *remedy = size ? "a whole number and B, KiB, MiB, GiB or TiB, such as 64MiB"
                              : "a whole number and ns, us, ms, s or min, such as 50us";
    uint64_t count = 0;
    const char *end = read_digits(text, 10, &count);
    if (end == NULL) {
        (void)snprintf(why, bytes, "\"%.64s\" is no %s; write %s%s", text, size ? "size" : "time",
            remedy, config_value_may_be_auto(row) ? ", or auto" : "");
        return STATUS_INVALID;
    }
    end += strspn(end, " \t");
    uint64_t factor = *end == '\0' && count == 0 ? 1 : 0; /* nothing needs no unit */
    for (const struct unit *unit = units_of(row); unit->name != NULL; unit++) {
        if (strcmp(unit->name, end) == 0) {
            factor = unit->factor;
        }
    }
    if (factor == 0 && *end == '\0') {
        (void)snprintf(why, bytes, "\"%.64s\" has no unit; write %s", text, remedy);
        return STATUS_INVALID;
    }
    if (factor == 0) {
        (void)snprintf(why, bytes, "\"%.64s\" is an unknown unit; write %s", end, remedy);
        return STATUS_INVALID;
    }
    uint64_t least = (uint64_t)row->least;
    uint64_t most = (uint64_t)row->most;
    if (count > most / factor || count * factor < least) {
        char least_text[CONFIG_VALUE_BYTES];
        char most_text[CONFIG_VALUE_BYTES];
        write_units(least, units_of(row), least_text);
        write_units(most, units_of(row), most_text);
        (void)snprintf(why, bytes, "\"%.64s\" is out of range; write %.32s to %.32s", text,
            least_text, most_text);
        return STATUS_INVALID;
    }
    *out_value = count * factor;
    return STATUS_OK;
}

static int read_number(
    const struct config_row *row, const char *text, int64_t *out_value, char *why, size_t bytes)
{
    bool negative = text[0] == '-';
    uint64_t digits = 0;
    const char *end = read_digits(text + (negative ? 1 : 0), 10, &digits);
    int64_t value = negative ? -(int64_t)digits : (int64_t)digits;
    if (end == NULL || *end != '\0' || value < row->least || value > row->most) {
        (void)snprintf(why, bytes,
            "\"%.64s\" is not a whole number (%s) in range; write %lld to %lld", text, row->unit,
            (long long)row->least, (long long)row->most);
        return STATUS_INVALID;
    }
    *out_value = value;
    return STATUS_OK;
}

static int read_mode(
    const struct config_row *row, const char *text, uint32_t *out_value, char *why, size_t bytes)
{
    uint64_t value = 0;
    const char *end = read_digits(text, 8, &value);
    if (end == NULL || *end != '\0' || value > (uint64_t)row->most) {
        (void)snprintf(why, bytes,
            "\"%.64s\" is no octal permission; write 0000 to %04o, such as 0660", text,
            (unsigned)row->most);
        return STATUS_INVALID;
    }
    *out_value = (uint32_t)value;
    return STATUS_OK;
}

static int read_path(
    const struct config_row *row, const char *text, char *out_value, char *why, size_t bytes)
{
    size_t length = strlen(text);
    if (text[0] != '/') {
        (void)snprintf(why, bytes, "\"%.64s\" is no absolute path; begin it with /", text);
        return STATUS_INVALID;
    }
    if (length < (size_t)row->least || length > (size_t)row->most) {
        (void)snprintf(why, bytes, "the path has %zu bytes; use one of %lld to %lld", length,
            (long long)row->least, (long long)row->most);
        return STATUS_INVALID;
    }
    memset(out_value, 0, row->bytes);
    memcpy(out_value, text, length);
    return STATUS_OK;
}

/* Absolute paths with colons between them, as in $PATH; `most` says how many. Empty: none. */
static int read_paths(
    const struct config_row *row, const char *text, char *out_value, char *why, size_t bytes)
{
    size_t length = strlen(text);
    int64_t count = 0;
    if (length >= row->bytes) {
        (void)snprintf(why, bytes,
            "the list has %zu bytes; use fewer or shorter paths, %zu at most", length,
            row->bytes - 1);
        return STATUS_INVALID;
    }
    for (const char *path = text; *text != '\0' && path != NULL; count++) {
        if (*path != '/') {
            (void)snprintf(why, bytes, "\"%.64s\" is no absolute path; begin each with /", path);
            return STATUS_INVALID;
        }
        path = strchr(path, ':');
        path = path == NULL ? NULL : path + 1;
    }
    if (count > row->most) {
        (void)snprintf(
            why, bytes, "%lld paths; write %lld at most", (long long)count, (long long)row->most);
        return STATUS_INVALID;
    }
    memset(out_value, 0, row->bytes);
    memcpy(out_value, text, length);
    return STATUS_OK;
}

/* Is it a UUID of a device, or its beginning, with GPU- or MIG- before it or not? */
static bool is_device(const char *name, size_t length)
{
    size_t start =
        length > 4 && (strncasecmp(name, "GPU-", 4) == 0 || strncasecmp(name, "MIG-", 4) == 0) ? 4
                                                                                               : 0;
    return length > start && strspn(name + start, "0123456789abcdefABCDEF-") >= length - start;
}

/* One of three words, or names with commas between them; `most` says how many. */
static int read_devices(
    const struct config_row *row, const char *text, char *out_value, char *why, size_t bytes)
{
    bool word = strcmp(text, "auto") == 0 || strcmp(text, "all") == 0 || strcmp(text, "none") == 0;
    int64_t count = 0;
    if (strlen(text) >= row->bytes) {
        (void)snprintf(why, bytes,
            "the list has more than %zu bytes; write beginnings of UUIDs, such as GPU-1f8a2c03",
            row->bytes - 1);
        return STATUS_INVALID;
    }
    for (const char *name = text; name != NULL && !word; count++) {
        size_t length = strcspn(name, ",");
        if (!is_device(name, length) || count == row->most) {
            (void)snprintf(why, bytes,
                count == row->most ? "\"%.64s\" is one device too many; write %lld at most"
                                   : "\"%.64s\" is no device; write auto, all, none, or UUIDs as "
                                     "nvidia-smi -L prints them, with commas between them",
                name, (long long)row->most);
            return STATUS_INVALID;
        }
        name = name[length] == '\0' ? NULL : name + length + 1;
    }
    memset(out_value, 0, row->bytes);
    memcpy(out_value, text, strlen(text));
    return STATUS_OK;
}

/* Word number `index` of "a|b|c". Returns its length, or 0 if there is none. */
static size_t word_at(const char *words, uint32_t index, const char **out_word)
{
    for (; index > 0; index--) {
        words = strchr(words, '|');
        if (words == NULL) {
            return 0;
        }
        words++;
    }
    *out_word = words;
    return strcspn(words, "|");
}

static int read_choice(
    const struct config_row *row, const char *text, uint32_t *out_value, char *why, size_t bytes)
{
    const char *word = NULL;
    size_t length = 0;
    for (uint32_t i = 0; (length = word_at(row->unit, i, &word)) > 0; i++) {
        if (strlen(text) == length && memcmp(text, word, length) == 0) {
            *out_value = i;
            return STATUS_OK;
        }
    }
    (void)snprintf(why, bytes, "\"%.64s\" is no choice; write one of %s", text, row->unit);
    return STATUS_INVALID;
}

static bool find_user(const char *name, uint32_t *out_uid)
{
    uint64_t number = 0;
    const char *end = read_digits(name, 10, &number);
    if (end != NULL && *end == '\0' && number < UINT32_MAX) {
        *out_uid = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "self") == 0) {
        *out_uid = (uint32_t)geteuid();
        return true;
    }
    if (strcmp(name, "root") == 0) {
        *out_uid = 0; /* known without a user database, which small containers lack */
        return true;
    }
    const struct passwd *user = getpwnam(name);
    if (user != NULL) {
        *out_uid = (uint32_t)user->pw_uid;
    }
    return user != NULL;
}

static int read_users(const char *text, struct config_users *out_value, char *why, size_t bytes)
{
    struct config_users users = {.all = strcmp(text, "all") == 0};
    const char *rest = text;
    while (!users.all) {
        char name[64] = "";
        uint32_t uid = 0;
        rest += strspn(rest, " \t");
        size_t length = strcspn(rest, ", \t");
        memcpy(name, rest, length < sizeof name ? length : sizeof name - 1);
        if (length == 0 || length >= sizeof name || !find_user(name, &uid)) {
            (void)snprintf(why, bytes,
                "\"%s\" is no user of this host; write all, or names, numbers and self with commas "
                "between them",
                name);
            return STATUS_INVALID;
        }
        if (!config_users_has(&users, uid)) {
            if (users.count == CONFIG_USERS_MAX) {
                (void)snprintf(why, bytes, "more than %u users; write all, or fewer", users.count);
                return STATUS_INVALID;
            }
            users.uid[users.count++] = uid;
        }
        rest += length;
        rest += strspn(rest, " \t");
        if (*rest == '\0') {
            break;
        }
        if (*rest != ',') {
            (void)snprintf(why, bytes, "no comma after \"%s\"; write one between users", name);
            return STATUS_INVALID;
        }
        rest++;
    }
    *out_value = users;
    return STATUS_OK;
}

int config_value_read(
    const struct config_row *row, const char *text, void *out_field, char *why, size_t why_bytes)
{
    switch (row->type) {
    case CONFIG_VALUE_path:
        return read_path(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_paths:
        return read_paths(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_devices:
        return read_devices(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_mode:
        return read_mode(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_users:
        return read_users(text, out_field, why, why_bytes);
    case CONFIG_VALUE_choice:
        return read_choice(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_number:
        return read_number(row, text, out_field, why, why_bytes);
    case CONFIG_VALUE_size:
    case CONFIG_VALUE_time:
        break;
    }
    if (config_value_may_be_auto(row) && strcmp(text, "auto") == 0) {
        *(uint64_t *)out_field = CONFIG_AUTO;
        return STATUS_OK;
    }
    return read_units(row, text, out_field, why, why_bytes);
}

static void write_users(const struct config_users *users, char *out_text)
{
    static_assert(CONFIG_USERS_MAX * sizeof "4294967295," < CONFIG_VALUE_BYTES, "all fit");
    size_t used = 0;
    for (uint32_t i = 0; i < users->count; i++) {
        used += (size_t)snprintf(
            out_text + used, CONFIG_VALUE_BYTES - used, "%s%u", i == 0 ? "" : ",", users->uid[i]);
    }
    if (users->all) {
        (void)snprintf(out_text, CONFIG_VALUE_BYTES, "all");
    }
}

void config_value_write(const struct config_row *row, const void *field, char *out_text)
{
    const char *word = "";
    size_t length = 0;
    switch (row->type) {
    case CONFIG_VALUE_path:
    case CONFIG_VALUE_paths:
    case CONFIG_VALUE_devices:
        (void)snprintf(out_text, CONFIG_VALUE_BYTES, "%s", (const char *)field);
        break;
    case CONFIG_VALUE_mode:
        (void)snprintf(out_text, CONFIG_VALUE_BYTES, "%04o", *(const uint32_t *)field);
        break;
    case CONFIG_VALUE_users:
        write_users(field, out_text);
        break;
    case CONFIG_VALUE_choice:
        length = word_at(row->unit, *(const uint32_t *)field, &word);
        (void)snprintf(out_text, CONFIG_VALUE_BYTES, "%.*s", (int)length, word);
        break;
    case CONFIG_VALUE_number:
        (void)snprintf(out_text, CONFIG_VALUE_BYTES, "%lld", (long long)*(const int64_t *)field);
        break;
    case CONFIG_VALUE_size:
    case CONFIG_VALUE_time:
        if (*(const uint64_t *)field == CONFIG_AUTO) {
            (void)snprintf(out_text, CONFIG_VALUE_BYTES, "auto");
        } else {
            write_units(*(const uint64_t *)field, units_of(row), out_text);
        }
        break;
    }
}
