/* device_host: blocks in shared memory of the host: the reference backend of device.h.
 *
 * A sealed memfd; hugetlb pages where they are free, else 4 KiB pages with the advice to make
 * transparent huge ones. Chosen by the server at start.
 */
#ifndef CISTERN_CUDA_DEVICE_HOST_H
#define CISTERN_CUDA_DEVICE_HOST_H

#include "cuda/device.h"

extern const struct device device_host;

#endif
