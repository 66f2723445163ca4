/* dlpack: the structs of DLPack 0.8 and 1.1, as every consumer of a capsule reads them.
 *
 * Source: the dmlc/dlpack specification, written down here so that nothing is needed to build. An
 * old capsule holds a dlpack_managed and is called "dltensor"; one of version 1 holds a
 * dlpack_versioned and is called "dltensor_versioned".
 */
#ifndef CISTERN_LIBCLIENT_PYTHON_DLPACK_H
#define CISTERN_LIBCLIENT_PYTHON_DLPACK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define DLPACK_MAJOR 1u
#define DLPACK_MINOR 1u
#define DLPACK_READ_ONLY UINT64_C(1) /* a flag of dlpack_versioned */

enum dlpack_device_type { DLPACK_CPU = 1, DLPACK_CUDA = 2 };

enum dlpack_code {
    DLPACK_INT = 0,
    DLPACK_UINT = 1,
    DLPACK_FLOAT = 2,
    DLPACK_BFLOAT = 4,
    DLPACK_BOOL = 6,
    DLPACK_FLOAT8_E4M3FN = 10,
    DLPACK_FLOAT8_E5M2 = 12
};

struct dlpack_tensor {
    void *data; /* of the first element: torch does not look at byte_offset */
    int32_t device_type;
    int32_t device_id;
    int32_t ndim;
    uint8_t code; /* enum dlpack_code */
    uint8_t bits;
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* in elements */
    uint64_t byte_offset;
};

struct dlpack_managed {
    struct dlpack_tensor tensor;
    void *context;
    void (*deleter)(struct dlpack_managed *managed);
};

struct dlpack_versioned {
    uint32_t major;
    uint32_t minor;
    void *context;
    void (*deleter)(struct dlpack_versioned *versioned);
    uint64_t flags;
    struct dlpack_tensor tensor;
};

static_assert(sizeof(struct dlpack_tensor) == 48, "part of DLPack's ABI");
static_assert(sizeof(struct dlpack_managed) == 64, "part of DLPack's ABI");
static_assert(offsetof(struct dlpack_versioned, tensor) == 32, "part of DLPack's ABI");

#endif
