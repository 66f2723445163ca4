/* dtype: see dtype.h. */
#include "libclient/python/dtype.h"

#include "libclient/python/dlpack.h"

#include <string.h>

static const struct dtype table[] = {
    {"uint8", "B", DLPACK_UINT, 1},
    {"int8", "b", DLPACK_INT, 1},
    {"uint16", "H", DLPACK_UINT, 2},
    {"int16", "h", DLPACK_INT, 2},
    {"uint32", "I", DLPACK_UINT, 4},
    {"int32", "i", DLPACK_INT, 4},
    {"uint64", "Q", DLPACK_UINT, 8},
    {"int64", "q", DLPACK_INT, 8},
    {"float16", "e", DLPACK_FLOAT, 2},
    {"bfloat16", "H", DLPACK_BFLOAT, 2},
    {"float32", "f", DLPACK_FLOAT, 4},
    {"float64", "d", DLPACK_FLOAT, 8},
    {"float8_e4m3fn", "B", DLPACK_FLOAT8_E4M3FN, 1},
    {"float8_e5m2", "B", DLPACK_FLOAT8_E5M2, 1},
    {"bool", "?", DLPACK_BOOL, 1},
};

const struct dtype *dtype_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}
