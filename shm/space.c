/* space: checks and comparisons of namespace descriptors. */
#include "shm/space.h"

#include <stddef.h>
#include <string.h>

/* One row a field: how people call it, where it lies. */
struct field {
    const char *name;
    uint32_t offset;
    uint32_t bytes;
    bool text;
};

#define TEXT(field) \
    { \
#field, offsetof(struct space, field), sizeof(((struct space *)0)->field), true \
    }
#define WORD(field) \
    { \
#field, offsetof(struct space, field), sizeof(((struct space *)0)->field), false \
    }

static const struct field fields[] = {
    TEXT(name),
    TEXT(model),
    TEXT(dtype),
    TEXT(layout),
    TEXT(rope),
    TEXT(lora),
    TEXT(engine),
    TEXT(tenant),
    WORD(block_bytes),
    WORD(block_tokens),
    WORD(layers),
    WORD(heads),
    WORD(head_size),
    WORD(tp_rank),
    WORD(tp_size),
    WORD(pp_rank),
    WORD(pp_size),
    {"secret", offsetof(struct space, secret_check), 32, false},
};

#define FIELD_COUNT (sizeof fields / sizeof fields[0])

static bool text_is_clean(const char *text, uint32_t room)
{
    size_t length = strnlen(text, room);
    for (size_t i = length; i < room; i++) {
        if (text[i] != '\0') {
            return false;
        }
    }
    return length < room;
}

const char *space_check(const struct space *space)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *at = (const char *)space + fields[i].offset;
        if (fields[i].text && !text_is_clean(at, fields[i].bytes)) {
            return fields[i].name;
        }
    }
    if (space->name[0] == '\0') {
        return "name";
    }
    if (space->block_bytes == 0 || space->block_bytes > UINT32_MAX) {
        return "block_bytes";
    }
    if (space->block_tokens == 0) {
        return "block_tokens";
    }
    if (space->tp_rank >= space->tp_size) {
        return "tp_rank";
    }
    return space->pp_rank >= space->pp_size ? "pp_rank" : NULL;
}

bool space_same_name(const struct space *a, const struct space *b)
{
    return memcmp(a->name, b->name, sizeof a->name) == 0 &&
           memcmp(a->tenant, b->tenant, sizeof a->tenant) == 0 && a->tp_rank == b->tp_rank &&
           a->pp_rank == b->pp_rank;
}

const char *space_difference(const struct space *a, const struct space *b)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *left = (const char *)a + fields[i].offset;
        const char *right = (const char *)b + fields[i].offset;
        if (memcmp(left, right, fields[i].bytes) != 0) {
            return fields[i].name;
        }
    }
    return NULL;
}
