/* fuzz_config: any text as a config file: refused with a sentence, or read, and then printed as
 * a file that says the same. */
#include "tests/fuzz/target.h"

#include "shm/status.h"
#include "sidecar/config.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const lines[] = {"pool = 64MiB\n", "extent = 1MiB\n", "# said\n", "; said\n",
    "slot_min=16 KiB\n", "policy = lru\n", "huge_pages = auto\n", "poll = 50us ; short\n",
    "allow_users = self,root,12\n", "trusted_users = all\n", "socket = /tmp/a\n",
    "socket_mode = 0600\n", "numa_node = -1\n", "[part]\n", "claim = 99999999999999999999s\n",
    "pool = 0x10\n", "sessions = 12\n", "sessions = twelve\n", "nothing\n", "= 3\n", "io=epoll\n",
    "\n", "wait_max = 1.5s\n", "quarantine = 0\n"};

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    size_t bytes = 0;
    for (uint64_t left = check_random(state) % 12; left > 0; left--) {
        const char *line = lines[check_random(state) % CHECK_COUNT(lines)];
        size_t length = strlen(line);
        if (bytes + length > room) {
            break;
        }
        memcpy(out_data + bytes, line, length);
        bytes += length;
    }
    return bytes;
}

/* Load a file of these bytes. Returns as config_load(). */
static int load(const void *text, size_t bytes, struct config *out_config)
{
    char flag[64];
    char program[] = "cisternd";
    char why[512];
    int file = memfd_create("config", MFD_CLOEXEC);
    target_must(file >= 0 && write(file, text, bytes) == (ssize_t)bytes, "a file");
    (void)snprintf(flag, sizeof flag, "--config=/proc/self/fd/%d", file);
    char *const arguments[] = {program, flag, NULL};
    memset(why, 'x', sizeof why);
    int status = config_load(out_config, 2, arguments, arguments + 2, why, sizeof why);
    (void)close(file);
    target_must(status == STATUS_OK || status == STATUS_INVALID, "read, or refused");
    if (status != STATUS_OK) {
        target_must(memchr(why, '\0', sizeof why) != NULL && why[0] != '\0', "a refusal says why");
    }
    return status;
}

/* What is printed can be read, and prints the same values again. */
static void check_print(const struct config *config)
{
    static struct config again;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    target_must(out != NULL, "memory");
    config_print(config, out);
    target_must(fclose(out) == 0, "the text is written");
    target_must(load(text, bytes, &again) == STATUS_OK, "what was printed can be read");
    target_must(again.pool_bytes == config->pool_bytes, "the same pool");
    target_must(again.poll_ns == config->poll_ns, "the same time");
    target_must(again.policy == config->policy, "the same choice");
    target_must(again.sessions == config->sessions, "the same number");
    target_must(again.socket_mode == config->socket_mode, "the same mode");
    target_must(strcmp(again.socket, config->socket) == 0, "the same path");
    target_must(again.allow_users.all == config->allow_users.all, "the same users");
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct config config;
    char why[512] = "";
    struct host host = {.cpus = 4,
        .cpus_usable = 4,
        .cpu_quota_milli = HOST_UNKNOWN,
        .memory_bytes = UINT64_C(1) << 34,
        .memory_limit_bytes = HOST_UNKNOWN,
        .memlock_bytes = HOST_UNKNOWN};
    if (load(data, bytes, &config) != STATUS_OK) {
        return 0;
    }
    check_print(&config);
    int status = config_resolve(&config, &host, why, sizeof why);
    target_must(status == STATUS_OK || why[0] != '\0', "a refusal says why");
    if (status == STATUS_OK) {
        target_must(config.pool_bytes != CONFIG_AUTO && config.extent_bytes <= config.pool_bytes &&
                        config.slot_min_bytes <= config.extent_bytes,
            "the values fit each other");
    }
    return 0;
}
