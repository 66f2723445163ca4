/* status: see status.h. */
#include "sidecar/cli/status.h"

#include "shm/counter.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define VALUE_BYTES 256u
#define SIZES 4u /* of the what-if counters: a half, once, twice, four times */

/* One line "name value" of the sidecar's own words. Returns the next line, or NULL. */
static const char *next_line(const char *at, char *name, char *value, size_t room)
{
    if (at == NULL || *at == '\0') {
        return NULL;
    }
    size_t length = strcspn(at, "\n");
    size_t word = strcspn(at, " \n");
    size_t rest = length > word ? length - word - 1 : 0;
    (void)snprintf(name, room, "%.*s", (int)word, at);
    (void)snprintf(value, room, "%.*s", (int)rest, length > word ? at + word + 1 : "");
    return at[length] == '\0' ? at + length : at + length + 1;
}

static bool is_number(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return length > 0 && text[length] == '\0' && (length == 1 || text[0] != '0');
}

/* A text of another process, as a JSON string. */
static void print_string(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            (void)fprintf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte >= 0x7f) {
            (void)fprintf(out, "\\u%04x", byte);
        } else {
            (void)fputc(byte, out);
        }
    }
    (void)fputc('"', out);
}

static void print_json(const struct observe *observe, FILE *out)
{
    char name[VALUE_BYTES];
    char value[VALUE_BYTES];
    const char *at = observe->welcome.info;
    (void)fputc('{', out);
    while ((at = next_line(at, name, value, sizeof name)) != NULL) {
        print_string(name, out);
        (void)fputs(": ", out);
        if (is_number(value)) {
            (void)fputs(value, out);
        } else {
            print_string(value, out);
        }
        (void)fputs(", ", out);
    }
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        (void)fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", counter_name(i),
            counter_get(observe->index.header->counter, i));
    }
    (void)fputs("}\n", out);
}

/* A text of another process, for a terminal. */
static void tame(char *text)
{
    for (; *text != '\0'; text++) {
        *text = isprint((unsigned char)*text) ? *text : '?';
    }
}

/* "what if" of one kind of memory: the share of uses that would hit at each size. */
static void print_what_if(const _Atomic uint64_t *counters, enum counter uses_counter,
    enum counter half, const char *what, FILE *out)
{
    static const char *const names[SIZES] = {"1/2", "1", "2", "4"};
    double uses = (double)counter_get(counters, uses_counter);
    if (uses <= 0) {
        return;
    }
    (void)fprintf(out, "%-24s", what);
    for (uint32_t i = 0; i < SIZES; i++) {
        double hits = (double)counter_get(counters, (enum counter)(half + i));
        (void)fprintf(out, "%s%.1f %% at %s x its size", i == 0 ? "" : ", ",
            hits > uses ? 100.0 : hits / uses * 100, names[i]);
    }
    (void)fputs("\n", out);
}

static void print_text(const struct observe *observe, FILE *out)
{
    char name[VALUE_BYTES];
    char value[VALUE_BYTES];
    const char *at = observe->welcome.info;
    while ((at = next_line(at, name, value, sizeof name)) != NULL) {
        tame(name);
        tame(value);
        (void)fprintf(out, "%-24s%s\n", name, value);
    }
    uint32_t sleeping = shared32_load_relaxed(&observe->index.header->server_sleeping);
    (void)fprintf(out, "%-24s%s\n", "server", sleeping % 2 == 1 ? "sleeping" : "polling");
    const _Atomic uint64_t *counters = observe->index.header->counter;
    print_what_if(counters, COUNTER_whatif_uses, COUNTER_whatif_hits_half, "hits, by pool", out);
    print_what_if(
        counters, COUNTER_whatif_cold_uses, COUNTER_whatif_cold_hits_half, "hits, by disk", out);
    (void)fputs("\n", out);
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        (void)fprintf(out, "%-24s%14" PRIu64 " %-10s %s\n", counter_name(i),
            counter_get(observe->index.header->counter, i), counter_unit(i), counter_what(i));
    }
}

void status_print(const struct observe *observe, bool json, FILE *out)
{
    if (json) {
        print_json(observe, out);
    } else {
        print_text(observe, out);
    }
}
