/* settings: see settings.h. Every refusal names the field. */
#include "libclient/settings.h"

#include "libclient/why.h"
#include "shm/layout.h"
#include "shm/status.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET_PATH "/run/cistern/cistern.sock"
#define THREADS 4u
#define PINS 1024u
#define GRANTS_AHEAD 4u
#define GRANTS_AHEAD_MAX 128u
#define RESERVE_MAX 128u
#define TIMEOUT_NS INT64_C(1000000000)
#define SECRET_MAX 65536u
#define FLAGS_KNOWN \
    (CISTERN_ISOLATED | CISTERN_LATE_WRITES | CISTERN_CHECKSUM | CISTERN_DEVICE_READ)

/* A caller that was compiled with an earlier header has fewer fields, `least` bytes of them; one of
 * a later header may set some that we do not know. */
static int check_size(
    const char *name, const void *given, uint32_t size, size_t least, size_t known)
{
    if (size < least) {
        return why_failed(STATUS_INVALID, "%s: size is %u, not %zu", name, size, known);
    }
    const unsigned char *bytes = given;
    for (size_t i = known; i < size; i++) {
        if (bytes[i] != 0) {
            return why_failed(
                STATUS_UNSUPPORTED, "%s: a field is set that this version does not know", name);
        }
    }
    return STATUS_OK;
}

/* Copy a text into a zeroed field of `room` bytes. */
static int copy_text(const char *name, const char *text, size_t room, char *out_field)
{
    size_t length = text == NULL ? 0 : strnlen(text, room);
    if (length == room) {
        return why_failed(STATUS_INVALID, "space.%s is longer than %zu bytes", name, room - 1);
    }
    if (length > 0) {
        memcpy(out_field, text, length);
    }
    return STATUS_OK;
}

static int copy_texts(const struct cistern_namespace *from, struct space *out_space)
{
    const struct {
        const char *name;
        const char *text;
        size_t room;
        char *field;
    } rows[] = {
        {"name", from->name, sizeof out_space->name, out_space->name},
        {"model", from->model, sizeof out_space->model, out_space->model},
        {"dtype", from->dtype, sizeof out_space->dtype, out_space->dtype},
        {"layout", from->layout, sizeof out_space->layout, out_space->layout},
        {"rope", from->rope, sizeof out_space->rope, out_space->rope},
        {"lora", from->lora, sizeof out_space->lora, out_space->lora},
        {"engine", from->engine, sizeof out_space->engine, out_space->engine},
        {"tenant", from->tenant, sizeof out_space->tenant, out_space->tenant},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = copy_text(rows[i].name, rows[i].text, rows[i].room, rows[i].field);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static int read_space(const struct cistern_namespace *from, struct space *out_space)
{
    int status = check_size("space", from, from->size, sizeof *from, sizeof *from);
    if (status != STATUS_OK) {
        return status;
    }
    memset(out_space, 0, sizeof *out_space);
    status = copy_texts(from, out_space);
    if (status != STATUS_OK) {
        return status;
    }
    if (from->reserved != 0 || (from->secret == NULL) != (from->secret_bytes == 0) ||
        from->secret_bytes > SECRET_MAX) {
        return why_failed(STATUS_INVALID, "space.reserved, or the secret's size, is wrong");
    }
    out_space->block_bytes = from->block_bytes;
    out_space->block_tokens = from->block_tokens;
    out_space->layers = from->layers;
    out_space->heads = from->heads;
    out_space->head_size = from->head_size;
    out_space->tp_rank = from->tp_rank;
    out_space->tp_size = from->tp_size == 0 ? 1 : from->tp_size;
    out_space->pp_rank = from->pp_rank;
    out_space->pp_size = from->pp_size == 0 ? 1 : from->pp_size;
    const char *wrong = space_check(out_space);
    return wrong == NULL ? STATUS_OK : why_failed(STATUS_INVALID, "space.%s is wrong", wrong);
}

/* The root of the chains, and what tells two secrets apart. */
static int read_root(const struct cistern_namespace *from, struct cistern *handle)
{
    struct key_hasher hasher;
    int status = key_open(&hasher);
    if (status != STATUS_OK) {
        return why_failed(status, "OpenSSL has no SHA-256, or no memory");
    }
    struct space *space = &handle->hello.space;
    if (from->secret_bytes > 0) {
        status = key_secret_check(from->secret, from->secret_bytes, space->secret_check);
    }
    if (status == STATUS_OK) {
        status = key_root(&hasher, space, from->secret, from->secret_bytes, &handle->root);
    }
    key_close(&hasher);
    return status == STATUS_OK ? STATUS_OK : why_failed(status, "OpenSSL's SHA-256 failed");
}

static int read_path(const struct cistern_options *options, struct cistern *handle)
{
    const char *path = options->socket_path;
    if (path == NULL) {
        path = secure_getenv("CISTERN_SOCKET");
    }
    if (path == NULL) {
        path = SOCKET_PATH;
    }
    size_t length = strnlen(path, sizeof handle->path);
    if (length == 0 || length == sizeof handle->path) {
        return why_failed(STATUS_INVALID, "socket_path is empty, or longer than %zu bytes",
            sizeof handle->path - 1);
    }
    memcpy(handle->path, path, length + 1);
    return STATUS_OK;
}

static int read_limits(const struct cistern_options *options, struct cistern *handle)
{
    if (options->threads_max > LANE_SEATS_MAX) {
        return why_failed(STATUS_INVALID, "threads_max is above %u", LANE_SEATS_MAX);
    }
    if (options->pins_per_thread > LANE_PINS_MAX) {
        return why_failed(STATUS_INVALID, "pins_per_thread is above %u", LANE_PINS_MAX);
    }
    if (options->grants_ahead > GRANTS_AHEAD_MAX) {
        return why_failed(STATUS_INVALID, "grants_ahead is above %u", GRANTS_AHEAD_MAX);
    }
    if ((options->flags & ~FLAGS_KNOWN) != 0) {
        return why_failed(STATUS_UNSUPPORTED, "flags has bits that this version does not know");
    }
    if (options->reserved != 0 || options->timeout_ns < 0) {
        return why_failed(STATUS_INVALID, "reserved is not 0, or timeout_ns is below 0");
    }
    bool isolated = (options->flags & CISTERN_ISOLATED) != 0;
    struct hello *hello = &handle->hello;
    hello->seats = options->threads_max == 0 ? THREADS : options->threads_max;
    hello->pins = options->pins_per_thread == 0 ? PINS : options->pins_per_thread;
    handle->grants_ahead = options->grants_ahead == 0 ? GRANTS_AHEAD : options->grants_ahead;
    /* What threads hold ahead, and one large reserve; staging is memory of its own, so less of
     * it. */
    hello->grants = hello->seats * handle->grants_ahead + (isolated ? 0 : RESERVE_MAX);
    hello->flags |= isolated ? HELLO_ISOLATED : 0;
    hello->flags |= (options->flags & CISTERN_LATE_WRITES) != 0 ? HELLO_LATE_WRITES : 0;
    handle->flags = options->flags;
    return STATUS_OK;
}

int settings_read(const struct cistern_options *options, struct cistern *handle)
{
    int status = check_size("options", options, options->size,
        offsetof(struct cistern_options, device), sizeof *options);
    if (status != STATUS_OK) {
        return status;
    }
    if (options->space == NULL) {
        return why_failed(STATUS_INVALID, "options.space is NULL");
    }
    handle->hello = (struct hello){.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_ATTACH};
    status = read_limits(options, handle);
    if (status == STATUS_OK) {
        status = read_path(options, handle);
    }
    if (status == STATUS_OK) {
        status = read_space(options->space, &handle->hello.space);
    }
    if (status == STATUS_OK) {
        status = read_root(options->space, handle);
    }
    return status;
}

int64_t settings_timeout_ns(const struct cistern_options *options)
{
    return options->timeout_ns == 0 ? TIMEOUT_NS : options->timeout_ns;
}

const char *settings_device(const struct cistern_options *options)
{
    return options->size < sizeof *options ? NULL : options->device;
}
