/* config: what the operator asked for, and where each value came from.
 *
 * Built-in, then file, then CISTERN_* environment, then flag; the table is config.def. Called by
 * main at start: config_load(), then config_resolve() with what the host has, then everybody reads
 * the struct. Always: after config_resolve() all relations between values hold, and no value is
 * "auto" but nvme_size and nvme_region, which each directory decides for itself, and device, which
 * the driver knows.
 */
#ifndef CISTERN_SIDECAR_CONFIG_H
#define CISTERN_SIDECAR_CONFIG_H

#include "sidecar/host.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_KIB INT64_C(1024)
#define CONFIG_MIB (1024 * CONFIG_KIB)
#define CONFIG_GIB (1024 * CONFIG_MIB)
#define CONFIG_TIB (1024 * CONFIG_GIB)
#define CONFIG_MS INT64_C(1000000)
#define CONFIG_MIN (60000 * CONFIG_MS)
#define CONFIG_AUTO UINT64_MAX /* a size or time that config_resolve() decides */
#define CONFIG_PATH_BYTES 108u /* as long as a unix socket's address may be, with its end */
#define CONFIG_PATHS_BYTES 176u /* of a list of paths, with its end: fits into a line of the file */
#define CONFIG_DEVICES_BYTES CONFIG_PATHS_BYTES /* of a list of devices, with its end: likewise */
#define CONFIG_USERS_MAX 16u /* their numbers fit into a line of the file */
#define CONFIG_FILE "/etc/cistern/cistern.conf"

/* Choices: the words of `unit` in config.def, in their order. */
enum config_huge_pages { CONFIG_HUGE_AUTO, CONFIG_HUGE_YES, CONFIG_HUGE_NO };
enum config_io { CONFIG_IO_AUTO, CONFIG_IO_URING, CONFIG_IO_EPOLL };
enum config_policy { CONFIG_POLICY_ADAPTIVE, CONFIG_POLICY_ARC, CONFIG_POLICY_LRU };
enum config_nvme_io { CONFIG_NVME_AUTO, CONFIG_NVME_URING, CONFIG_NVME_THREADS };
enum config_nvme_admit { CONFIG_ADMIT_SECOND_USE, CONFIG_ADMIT_ALWAYS };
/* nvme_codec: enum codec of tier/codec.h */
enum config_device_handles { CONFIG_HANDLES_VMM, CONFIG_HANDLES_LEGACY };
enum config_device_promote {
    CONFIG_PROMOTE_SECOND_USE,
    CONFIG_PROMOTE_ALWAYS,
    CONFIG_PROMOTE_NEVER
};
enum config_keeper { CONFIG_KEEPER_YES, CONFIG_KEEPER_NO };
/* log_level: enum log_level of log.h */

struct config_users {
    bool all;
    uint32_t count;
    uint32_t uid[CONFIG_USERS_MAX]; /* "self" is the effective user at load */
};

enum config_option {
#define CONFIG(name, type, ...) CONFIG_OPTION_##name,
#include "sidecar/config.def"
#undef CONFIG
    CONFIG_OPTIONS
};

enum config_from { CONFIG_BUILT_IN, CONFIG_FROM_FILE, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FLAG };

struct config_source {
    enum config_from from;
    uint32_t line; /* of the file; 0: not from a file */
    bool automatic; /* the value was, or is still, "auto" */
};

/* How a type of config.def is kept: a size as <name>_bytes, a time as <name>_ns, a choice as the
 * number of its word. */
#define CONFIG_FIELD_path(name) char name[CONFIG_PATH_BYTES];
#define CONFIG_FIELD_paths(name) char name[CONFIG_PATHS_BYTES];
#define CONFIG_FIELD_devices(name) char name[CONFIG_DEVICES_BYTES];
#define CONFIG_FIELD_mode(name) uint32_t name;
#define CONFIG_FIELD_users(name) struct config_users name;
#define CONFIG_FIELD_size(name) uint64_t name##_bytes;
#define CONFIG_FIELD_time(name) uint64_t name##_ns;
#define CONFIG_FIELD_choice(name) uint32_t name;
#define CONFIG_FIELD_number(name) int64_t name;

struct config {
#define CONFIG(name, type, ...) CONFIG_FIELD_##type(name)
#include "sidecar/config.def"
#undef CONFIG
    struct config_source source[CONFIG_OPTIONS];
    char file[4096]; /* the file that was read; "": none */
    bool help; /* --help, --version, --print-config, --explain */
    bool version;
    bool print_config;
    bool explain;
};

/* Read all four sources into `*out_config`. `argv[0]` is skipped; `environment` ends with NULL.
 * Returns 0, or STATUS_INVALID: `why` says where (file:line, flag, variable), what, and the remedy;
 * then `*out_config` is not set. */
int config_load(struct config *out_config, int argc, char *const argv[], char *const environment[],
    char *why, size_t why_bytes);

/* Replace every "auto" by what suits the host, then check the relations between values.
 * Returns 0, or STATUS_INVALID and `why`; then nothing is changed. */
int config_resolve(struct config *config, const struct host *host, char *why, size_t why_bytes);

/* Take over from `fresh` (resolved) what may change while the server runs; `why` names the options
 * that differ but need a restart, or is "". Never fails. */
void config_reload(struct config *running, const struct config *fresh, char *why, size_t why_bytes);

/* May this user do what the list says? */
bool config_users_has(const struct config_users *users, uint32_t uid);

/* How many devices may be used: those that are named, 1 for "auto", 0 without a device pool. Of
 * "all" only the driver knows; then 1. */
uint32_t config_devices(const struct config *config);

/* Every value and where it came from, as a file that can be read again. */
void config_print(const struct config *config, FILE *out);

/* The text of --help. */
void config_help(FILE *out);

#endif
