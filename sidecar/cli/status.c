/* status: see status.h. */
#include "sidecar/cli/status.h"

#include "shm/counter.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

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
    char name[128];
    char value[128];
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

static void print_text(const struct observe *observe, FILE *out)
{
    char name[128];
    char value[128];
    const char *at = observe->welcome.info;
    while ((at = next_line(at, name, value, sizeof name)) != NULL) {
        tame(name);
        tame(value);
        (void)fprintf(out, "%-18s%s\n", name, value);
    }
    uint32_t sleeping = shared32_load_relaxed(&observe->index.header->server_sleeping);
    (void)fprintf(out, "%-18s%s\n\n", "server", sleeping % 2 == 1 ? "sleeping" : "polling");
    for (enum counter i = 0; i < COUNTER_COUNT; i++) {
        (void)fprintf(out, "%-18s%14" PRIu64 " %-9s %s\n", counter_name(i),
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
