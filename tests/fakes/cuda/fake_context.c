/* fake_context: see fake_context.h. */
#include "tests/fakes/cuda/fake_context.h"

#include "tests/fakes/cuda/fake_device.h"
#include "tests/fakes/cuda/fake_legacy.h"
#include "tests/fakes/cuda/fake_module.h"
#include "tests/fakes/cuda/fake_settings.h"
#include "tests/fakes/cuda/fake_stream.h"

static struct driver_context contexts[FAKE_DEVICES];
static _Thread_local struct driver_context *current;

struct driver_context *fake_context_current(void)
{
    return current != NULL && current->held > 0 ? current : NULL;
}

void fake_context_break(struct driver_context *context, int result)
{
    for (size_t i = 0; i < FAKE_DEVICES; i++) {
        if (context == NULL || context == &contexts[i]) {
            contexts[i].sticky = result;
        }
    }
}

int fake_cuDevicePrimaryCtxRetain(struct driver_context **context, int device)
{
    int result = fake_entry_enter(FAKE_cuDevicePrimaryCtxRetain, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (context == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (!fake_device_exists(device)) {
        return fake_entry_leave(DRIVER_INVALID_DEVICE);
    }
    if (contexts[device].sticky != DRIVER_SUCCESS) {
        return fake_entry_leave(contexts[device].sticky);
    }
    contexts[device].device = device;
    contexts[device].held++;
    *context = &contexts[device];
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuDevicePrimaryCtxRelease(int device)
{
    int result = fake_entry_enter(FAKE_cuDevicePrimaryCtxRelease, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (!fake_device_exists(device)) {
        return fake_entry_leave(DRIVER_INVALID_DEVICE);
    }
    struct driver_context *context = &contexts[device];
    if (context->held == 0) {
        return fake_entry_leave(DRIVER_INVALID_CONTEXT);
    }
    if (--context->held == 0) {
        fake_stream_end(context);
        fake_legacy_end(context);
        fake_module_end(context);
        context->null_stream = NULL;
    }
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuCtxSetCurrent(struct driver_context *context)
{
    int result = fake_entry_enter(FAKE_cuCtxSetCurrent, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    bool is_ours = context == NULL;
    for (size_t i = 0; i < FAKE_DEVICES; i++) {
        is_ours = is_ours || (context == &contexts[i] && context->held > 0);
    }
    if (!is_ours) {
        return fake_entry_leave(DRIVER_INVALID_CONTEXT);
    }
    current = context;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuCtxGetCurrent(struct driver_context **context)
{
    int result = fake_entry_enter(FAKE_cuCtxGetCurrent, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (context == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    *context = fake_context_current();
    return fake_entry_leave(DRIVER_SUCCESS);
}
