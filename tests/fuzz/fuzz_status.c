/* fuzz_status: whatever a sidecar says of itself, `cistern status` prints lines for a terminal,
 * and one line of JSON. */
#include "tests/fuzz/target.h"

#include "sidecar/cli/status.h"

#include <string.h>

static const char *const words[] = {"pid 12\n", "pool host memory\n", "uptime_s 3\n", "x\n", " \n",
    "a 007\n", "\n\n", "slots 18446744073709551616\n", "q \"\\\n", "esc \x1b[2J\n"};

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    size_t bytes = 0;
    for (uint64_t left = check_random(state) % 60; left > 0; left--) {
        const char *word = words[check_random(state) % CHECK_COUNT(words)];
        size_t length = strlen(word);
        if (bytes + length > room) {
            break;
        }
        memcpy(out_data + bytes, word, length);
        bytes += length;
    }
    return bytes;
}

static void check_text(const struct observe *observe)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    target_must(out != NULL, "memory");
    status_print(observe, false, out);
    target_must(fclose(out) == 0, "the text is written");
    for (size_t i = 0; i < bytes; i++) {
        target_must(text[i] == '\n' || (text[i] >= 0x20 && text[i] < 0x7f), "text is printable");
    }
    free(text);
}

/* Strings closed, nothing unescaped in them, one object. */
static void check_json(const struct observe *observe)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    target_must(out != NULL, "memory");
    status_print(observe, true, out);
    target_must(fclose(out) == 0, "the text is written");
    bool inside = false;
    for (size_t i = 0; i + 1 < bytes; i++) {
        target_must(text[i] >= 0x20 && text[i] < 0x7f, "JSON is one line of ASCII");
        if (inside && text[i] == '\\') {
            target_must(strchr("\"\\u", text[i + 1]) != NULL, "a known escape");
            i++;
        } else if (text[i] == '"') {
            inside = !inside;
        } else if (text[i] == '{' || text[i] == '}') {
            target_must(inside || i == 0 || i + 2 == bytes, "one object");
        }
    }
    target_must(!inside && bytes > 2 && text[bytes - 1] == '\n', "every string is closed");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct index_header header;
    static struct observe observe;
    struct target_input input = {.at = data, .left = bytes};
    observe = (struct observe){.index = {.header = &header}};
    target_take(&input, observe.welcome.info, HELLO_INFO - 1); /* observe_open() ends it */
    check_text(&observe);
    check_json(&observe);
    return 0;
}
