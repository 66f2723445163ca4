/* sizes: see sizes.h. */
#include "bench/policy/sizes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 1e9

static bool parse_one(const char *text, size_t length, struct size *out_size)
{
    struct size size = {0};
    if (length == 0 || length >= sizeof size.text) {
        return false;
    }
    memcpy(size.text, text, length);
    char *end;
    size.number = strtod(size.text, &end);
    size.percent = *end == '%';
    end += size.percent;
    if (end == size.text || *end != '\0' || !isfinite(size.number) || size.number <= 0 ||
        size.number > (size.percent ? 100 : BLOCKS_MAX)) {
        return false;
    }
    *out_size = size;
    return true;
}

bool sizes_parse(const char *text, struct sizes *out_sizes)
{
    struct sizes sizes = {0};
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, ",");
        if (sizes.count == SIZES_MAX || !parse_one(at, length, &sizes.items[sizes.count])) {
            fprintf(stderr,
                "cistern-bench: --sizes wants up to %u blocks or percents above 0, like "
                "1%%,5%%,2000, not '%s'\n",
                SIZES_MAX, text);
            return false;
        }
        sizes.count++;
        at += length;
        if (*at == '\0') {
            break;
        }
    }
    *out_sizes = sizes;
    return true;
}

uint32_t sizes_blocks(const struct size *size, uint64_t unique)
{
    double blocks = size->percent ? size->number * (double)unique / 100 : size->number;
    return blocks < 1 ? 1 : (uint32_t)blocks;
}
