/* cuda: our structs and numbers of the driver's ABI are those of cuda.h. */
#include "tests/check.h"

#include "cuda/driver.h"

#include <assert.h>
#include <cuda.h>

#define SAME_SIZE(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs), #ours)
#define SAME_PLACE(ours, field, theirs, their_field) \
    static_assert(offsetof(ours, field) == offsetof(theirs, their_field), #field)
#define SAME_NUMBER(ours, theirs) \
    { \
#ours, (long long)(ours), (long long)(theirs) \
    }

SAME_SIZE(struct driver_uuid, CUuuid);
SAME_SIZE(struct driver_ipc_handle, CUipcMemHandle);
SAME_SIZE(struct driver_location, CUmemLocation);
SAME_PLACE(struct driver_location, type, CUmemLocation, type);
SAME_PLACE(struct driver_location, id, CUmemLocation, id);
SAME_SIZE(struct driver_allocation, CUmemAllocationProp);
SAME_PLACE(struct driver_allocation, type, CUmemAllocationProp, type);
SAME_PLACE(struct driver_allocation, handle_types, CUmemAllocationProp, requestedHandleTypes);
SAME_PLACE(struct driver_allocation, location, CUmemAllocationProp, location);
SAME_PLACE(struct driver_allocation, windows, CUmemAllocationProp, win32HandleMetaData);
SAME_PLACE(struct driver_allocation, compression, CUmemAllocationProp, allocFlags.compressionType);
SAME_PLACE(struct driver_allocation, rdma, CUmemAllocationProp, allocFlags.gpuDirectRDMACapable);
SAME_PLACE(struct driver_allocation, usage, CUmemAllocationProp, allocFlags.usage);
SAME_SIZE(struct driver_access, CUmemAccessDesc);
SAME_PLACE(struct driver_access, location, CUmemAccessDesc, location);
SAME_PLACE(struct driver_access, flags, CUmemAccessDesc, flags);
SAME_SIZE(struct driver_copy, CUmemcpyAttributes);
SAME_PLACE(struct driver_copy, order, CUmemcpyAttributes, srcAccessOrder);
SAME_PLACE(struct driver_copy, from, CUmemcpyAttributes, srcLocHint);
SAME_PLACE(struct driver_copy, to, CUmemcpyAttributes, dstLocHint);
SAME_PLACE(struct driver_copy, flags, CUmemcpyAttributes, flags);
SAME_SIZE(uint64_t, CUdeviceptr);
SAME_SIZE(uint64_t, CUmemGenericAllocationHandle);
SAME_SIZE(int, CUdevice);
SAME_SIZE(int, CUresult);

static void the_numbers_are_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long long ours;
        long long theirs;
    } numbers[] = {
        SAME_NUMBER(DRIVER_SUCCESS, CUDA_SUCCESS),
        SAME_NUMBER(DRIVER_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE),
        SAME_NUMBER(DRIVER_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY),
        SAME_NUMBER(DRIVER_NOT_INITIALIZED, CUDA_ERROR_NOT_INITIALIZED),
        SAME_NUMBER(DRIVER_DEINITIALIZED, CUDA_ERROR_DEINITIALIZED),
        SAME_NUMBER(DRIVER_STUB_LIBRARY, CUDA_ERROR_STUB_LIBRARY),
        SAME_NUMBER(DRIVER_NO_DEVICE, CUDA_ERROR_NO_DEVICE),
        SAME_NUMBER(DRIVER_INVALID_DEVICE, CUDA_ERROR_INVALID_DEVICE),
        SAME_NUMBER(DRIVER_INVALID_CONTEXT, CUDA_ERROR_INVALID_CONTEXT),
        SAME_NUMBER(DRIVER_MAP_FAILED, CUDA_ERROR_MAP_FAILED),
        SAME_NUMBER(DRIVER_ALREADY_MAPPED, CUDA_ERROR_ALREADY_MAPPED),
        SAME_NUMBER(DRIVER_INVALID_HANDLE, CUDA_ERROR_INVALID_HANDLE),
        SAME_NUMBER(DRIVER_ILLEGAL_STATE, CUDA_ERROR_ILLEGAL_STATE),
        SAME_NUMBER(DRIVER_NOT_READY, CUDA_ERROR_NOT_READY),
        SAME_NUMBER(DRIVER_ILLEGAL_ADDRESS, CUDA_ERROR_ILLEGAL_ADDRESS),
        SAME_NUMBER(DRIVER_TOO_MANY_PEERS, CUDA_ERROR_TOO_MANY_PEERS),
        SAME_NUMBER(DRIVER_ALREADY_REGISTERED, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED),
        SAME_NUMBER(DRIVER_NOT_REGISTERED, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED),
        SAME_NUMBER(DRIVER_NOT_PERMITTED, CUDA_ERROR_NOT_PERMITTED),
        SAME_NUMBER(DRIVER_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED),
        SAME_NUMBER(DRIVER_SYSTEM_NOT_READY, CUDA_ERROR_SYSTEM_NOT_READY),
        SAME_NUMBER(DRIVER_MISMATCH, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH),
        SAME_NUMBER(DRIVER_COMPAT, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE),
        SAME_NUMBER(DRIVER_MPS_FIRST, CUDA_ERROR_MPS_CONNECTION_FAILED),
        SAME_NUMBER(DRIVER_MPS_LAST, CUDA_ERROR_MPS_CLIENT_TERMINATED),
        SAME_NUMBER(DRIVER_HAS_VMM, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED),
        SAME_NUMBER(
            DRIVER_HAS_POSIX_FD, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED),
        SAME_NUMBER(
            DRIVER_HAS_RDMA_VMM, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED),
        SAME_NUMBER(DRIVER_HAS_TIMELINE, CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS),
        SAME_NUMBER(DRIVER_HAS_IPC, CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED),
        SAME_NUMBER(DRIVER_HAS_FABRIC, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED),
        SAME_NUMBER(DRIVER_PINNED, CU_MEM_ALLOCATION_TYPE_PINNED),
        SAME_NUMBER(DRIVER_LOCATION_DEVICE, CU_MEM_LOCATION_TYPE_DEVICE),
        SAME_NUMBER(DRIVER_HANDLE_POSIX_FD, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
        SAME_NUMBER(DRIVER_HANDLE_FABRIC, CU_MEM_HANDLE_TYPE_FABRIC),
        SAME_NUMBER(DRIVER_ACCESS_READ, CU_MEM_ACCESS_FLAGS_PROT_READ),
        SAME_NUMBER(DRIVER_ACCESS_READ_WRITE, CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
        SAME_NUMBER(DRIVER_GRANULARITY_RECOMMENDED, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
        SAME_NUMBER(DRIVER_IPC_LAZY_PEER, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
        SAME_NUMBER(DRIVER_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING),
        SAME_NUMBER(DRIVER_EVENT_DISABLE_TIMING, CU_EVENT_DISABLE_TIMING),
        SAME_NUMBER(DRIVER_WAIT_GEQ, CU_STREAM_WAIT_VALUE_GEQ),
        SAME_NUMBER(DRIVER_REGISTER_PORTABLE, CU_MEMHOSTREGISTER_PORTABLE),
        SAME_NUMBER(DRIVER_REGISTER_DEVICE_MAP, CU_MEMHOSTREGISTER_DEVICEMAP),
        SAME_NUMBER(DRIVER_ORDER_STREAM, CU_MEMCPY_SRC_ACCESS_ORDER_STREAM),
    };
    for (size_t i = 0; i < CHECK_COUNT(numbers); i++) {
        if (numbers[i].ours != numbers[i].theirs) {
            fail_msg("%s is %lld, not %lld", numbers[i].name, numbers[i].ours, numbers[i].theirs);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
