/* dtype: the types of elements that a tensor can have, by the names that NumPy and torch use. */
#ifndef CISTERN_LIBCLIENT_PYTHON_DTYPE_H
#define CISTERN_LIBCLIENT_PYTHON_DTYPE_H

#include <stdint.h>

struct dtype {
    const char *name;
    char format[2]; /* of the buffer protocol, which has no word for some: then as raw integers */
    uint8_t code; /* enum dlpack_code */
    uint8_t bytes; /* of an element */
};

/* Returns NULL if there is no such type. */
const struct dtype *dtype_find(const char *name);

#endif
