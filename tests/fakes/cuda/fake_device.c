/* fake_device: see fake_device.h. */
#include "tests/fakes/cuda/fake_device.h"

#include "tests/fakes/cuda/fake_context.h"
#include "tests/fakes/cuda/fake_ledger.h"
#include "tests/fakes/cuda/fake_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UUID_TEXT 48

static struct {
    int number; /* of the host's devices, from 0 */
    struct driver_uuid uuid;
} visible[FAKE_DEVICES];
static int count;

static struct driver_uuid make_uuid(int number)
{
    struct driver_uuid uuid;
    for (size_t i = 0; i < sizeof uuid.byte; i++) {
        uuid.byte[i] = (unsigned char)(0x1d * (i + 1) ^ 0x3bu * ((unsigned)number + 1));
    }
    uuid.byte[15] = (unsigned char)number;
    return uuid;
}

static void write_uuid(const struct driver_uuid *uuid, char *out_text)
{
    size_t at = (size_t)snprintf(out_text, UUID_TEXT, "GPU-");
    for (size_t i = 0; i < sizeof uuid->byte; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        at += (size_t)snprintf(out_text + at, UUID_TEXT - at, "%s%02x", dash, uuid->byte[i]);
    }
}

/* The device that an item of CUDA_VISIBLE_DEVICES names, or below 0. */
static int named(const char *item, int devices)
{
    for (int number = 0; number < devices; number++) {
        char text[UUID_TEXT];
        struct driver_uuid uuid = make_uuid(number);
        write_uuid(&uuid, text);
        if (strcasecmp(item, text) == 0) {
            return number;
        }
        (void)snprintf(text, sizeof text, "%d", number);
        if (strcmp(item, text) == 0) {
            return number;
        }
    }
    return -1;
}

static void add(int number)
{
    visible[count].number = number;
    visible[count++].uuid = make_uuid(number);
}

int fake_device_start(void)
{
    int devices = (int)fake_settings_read()->devices;
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    count = 0;
    if (list == NULL) {
        while (count < devices) {
            add(count);
        }
    } else {
        char copy[1024];
        char *rest = NULL;
        (void)snprintf(copy, sizeof copy, "%s", list);
        for (char *item = strtok_r(copy, ", ", &rest); item != NULL && count < FAKE_DEVICES;
             item = strtok_r(NULL, ", ", &rest)) {
            int number = named(item, devices);
            if (number < 0) {
                break; /* what follows a wrong item is not visible either */
            }
            add(number);
        }
    }
    return count > 0 ? DRIVER_SUCCESS : DRIVER_NO_DEVICE;
}

bool fake_device_exists(int device)
{
    return device >= 0 && device < count;
}

const struct driver_uuid *fake_device_uuid(int device)
{
    return &visible[device].uuid;
}

int fake_device_find(const struct driver_uuid *uuid)
{
    for (int device = 0; device < count; device++) {
        if (memcmp(&visible[device].uuid, uuid, sizeof *uuid) == 0) {
            return device;
        }
    }
    return -1;
}

int fake_device_attribute(int attribute)
{
    const struct fake_settings *settings = fake_settings_read();
    for (size_t i = 0; i < settings->attribute_count; i++) {
        if (settings->attributes[i].id == attribute) {
            return settings->attributes[i].value;
        }
    }
    switch (attribute) {
    case DRIVER_HAS_VMM:
    case DRIVER_HAS_POSIX_FD:
    case DRIVER_HAS_IPC:
        return 1;
    case DRIVER_HAS_TIMELINE:
        return settings->no_timeline == 0;
    case DRIVER_HAS_FABRIC:
        return settings->fabric != 0;
    default:
        return 0;
    }
}

int fake_cuDeviceGetCount(int *out_count)
{
    int result = fake_entry_enter(FAKE_cuDeviceGetCount, FAKE_INIT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (out_count == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    *out_count = count;
    return fake_entry_leave(DRIVER_SUCCESS);
}

/* Begin a call about a device, whose output must be there. */
static int enter(enum fake_entry entry, int device, const void *output)
{
    int result = fake_entry_enter(entry, FAKE_INIT);
    if (result == DRIVER_SUCCESS && output == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    if (result == DRIVER_SUCCESS && !fake_device_exists(device)) {
        return fake_entry_leave(DRIVER_INVALID_DEVICE);
    }
    return result;
}

int fake_cuDeviceGet(int *device, int ordinal)
{
    int result = enter(FAKE_cuDeviceGet, ordinal, device);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    *device = ordinal;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuDeviceGetName(char *name, int bytes, int device)
{
    int result = enter(FAKE_cuDeviceGetName, device, name);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (bytes <= 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    (void)snprintf(name, (size_t)bytes, "Double of a GPU %d", visible[device].number);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuDeviceGetAttribute(int *value, int attribute, int device)
{
    int result = enter(FAKE_cuDeviceGetAttribute, device, value);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (attribute <= 0) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    *value = fake_device_attribute(attribute);
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuDeviceGetUuid(struct driver_uuid *uuid, int device)
{
    int result = enter(FAKE_cuDeviceGetUuid, device, uuid);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    *uuid = visible[device].uuid;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuDeviceTotalMem(size_t *bytes, int device)
{
    int result = enter(FAKE_cuDeviceTotalMem, device, bytes);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    *bytes = fake_settings_read()->memory;
    return fake_entry_leave(DRIVER_SUCCESS);
}

int fake_cuMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    int result = fake_entry_enter(FAKE_cuMemGetInfo, FAKE_CONTEXT);
    if (result != DRIVER_SUCCESS) {
        return result;
    }
    if (free_bytes == NULL || total_bytes == NULL) {
        return fake_entry_leave(DRIVER_INVALID_VALUE);
    }
    uint64_t total = fake_settings_read()->memory;
    uint64_t used = fake_ledger_used(&visible[fake_context_current()->device].uuid);
    *total_bytes = total;
    *free_bytes = used < total ? total - used : 0;
    return fake_entry_leave(DRIVER_SUCCESS);
}
