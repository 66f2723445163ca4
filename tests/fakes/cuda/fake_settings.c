/* fake_settings: see fake_settings.h. */
#include "tests/fakes/cuda/fake_settings.h"

#include "tests/fakes/cuda/fake_fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_settings now;
static bool is_frozen;

static const struct {
    const char *name;
    size_t offset;
    uint64_t most;
} numbers[] = {
    {"devices", offsetof(struct fake_settings, devices), FAKE_DEVICES},
    {"memory", offsetof(struct fake_settings, memory), UINT64_C(1) << 40},
    {"delay_us", offsetof(struct fake_settings, delay_us), 10000000},
    {"version", offsetof(struct fake_settings, version), 99999},
    {"init", offsetof(struct fake_settings, init), 999},
    {"no_host_register", offsetof(struct fake_settings, no_host_register), 1},
    {"no_timeline", offsetof(struct fake_settings, no_timeline), 1},
    {"fabric", offsetof(struct fake_settings, fabric), 1},
    {"strict", offsetof(struct fake_settings, strict), 1},
};

static bool read_number(const char *text, uint64_t most, uint64_t *out_number)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || text[0] == '-') {
        return false;
    }
    const char *unit = "KMG";
    const char *at = *end != '\0' ? strchr(unit, *end) : NULL;
    if (at != NULL) {
        unsigned shift = 10 * (unsigned)(at - unit + 1);
        if (number > most >> shift) {
            return false;
        }
        number <<= shift;
        end++;
    }
    if (*end != '\0' || number > most) {
        return false;
    }
    *out_number = number;
    return true;
}

/* lacks=cuMemCreate;cuMemMap */
static bool read_lacks(char *value)
{
    char *rest = NULL;
    for (char *name = strtok_r(value, ";", &rest); name != NULL;
         name = strtok_r(NULL, ";", &rest)) {
        enum fake_entry entry = fake_entry_find(name);
        if (entry == FAKE_ENTRIES) {
            return false;
        }
        now.lacks[entry] = true;
    }
    return true;
}

/* attribute=102:0 */
static bool read_attribute(char *value)
{
    char *second = strchr(value, ':');
    uint64_t id, is;
    if (second == NULL || now.attribute_count == FAKE_ATTRIBUTES) {
        return false;
    }
    *second++ = '\0';
    if (!read_number(value, 9999, &id) || !read_number(second, INT32_MAX, &is)) {
        return false;
    }
    now.attributes[now.attribute_count].id = (int)id;
    now.attributes[now.attribute_count++].value = (int)is;
    return true;
}

/* fail=cuMemCreate:2:2, sticky=cuMemcpyAsync:1 */
static bool read_fault(char *value, bool is_sticky)
{
    char *rest = NULL;
    const char *name = strtok_r(value, ":", &rest);
    const char *nth_text = strtok_r(NULL, ":", &rest);
    const char *result_text = strtok_r(NULL, ":", &rest);
    uint64_t nth, result = FAKE_UNKNOWN_ERROR;
    if (name == NULL || nth_text == NULL || !read_number(nth_text, UINT32_MAX, &nth)) {
        return false;
    }
    if (result_text != NULL && (is_sticky || !read_number(result_text, 999, &result))) {
        return false;
    }
    return fake_fault_add(name, nth, is_sticky ? DRIVER_ILLEGAL_ADDRESS : (int)result, is_sticky);
}

static bool read_word(const char *name, char *value)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            uint64_t number;
            if (!read_number(value, numbers[i].most, &number)) {
                return false;
            }
            memcpy((char *)&now + numbers[i].offset, &number, sizeof number);
            return true;
        }
    }
    if (strcmp(name, "lacks") == 0) {
        return read_lacks(value);
    }
    if (strcmp(name, "attribute") == 0) {
        return read_attribute(value);
    }
    bool is_sticky = strcmp(name, "sticky") == 0;
    return (is_sticky || strcmp(name, "fail") == 0) && read_fault(value, is_sticky);
}

static void read_all(char *text)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char whole[96];
        (void)snprintf(whole, sizeof whole, "%s", word);
        char *value = strchr(word, '=');
        if (value != NULL) {
            *value++ = '\0';
        }
        if (value == NULL || !read_word(word, value)) {
            (void)snprintf(now.wrong, sizeof now.wrong, "not understood: %s", whole);
            return;
        }
    }
}

const struct fake_settings *fake_settings_read(void)
{
    if (is_frozen) {
        return &now;
    }
    now = (struct fake_settings){
        .devices = 2, .memory = UINT64_C(256) << 20, .delay_us = 200, .version = 13000};
    fake_fault_clear();
    const char *text = getenv("CUDA_DOUBLE");
    if (text != NULL) {
        char *copy = strdup(text);
        if (copy != NULL) {
            read_all(copy);
            free(copy);
        }
    }
    return &now;
}

void fake_settings_freeze(void)
{
    (void)fake_settings_read();
    is_frozen = true;
}

void fake_settings_delay(uint64_t delay_us)
{
    fake_settings_freeze();
    now.delay_us = delay_us;
}
