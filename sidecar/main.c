/* main: cisternd: reads the configuration, lets the keeper start servers (or is one itself), builds
 * the server, listens to signals. */
#include "cuda/device_host.h"
#include "shm/status.h"
#include "sidecar/config.h"
#include "sidecar/host.h"
#include "sidecar/keeper.h"
#include "sidecar/log.h"
#include "sidecar/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define VERSION "0.1.0"

/* What the server and the signal callback need. */
struct daemon {
    struct server server;
    struct config
        config; /* of the start; a server that follows another takes over what may change */
    struct log log;
    struct host host;
    int signals;
    int argc;
    char **argv;
};

/* Read the configuration again. Returns false after a log line. */
static bool load_again(struct daemon *daemon, struct config *out_config)
{
    char why[SERVER_WHY];
    if (config_load(out_config, daemon->argc, daemon->argv, environ, why, sizeof why) ==
            STATUS_OK &&
        config_resolve(out_config, &daemon->host, why, sizeof why) == STATUS_OK) {
        return true;
    }
    log_line(&daemon->log, LOG_ERROR, "main", "configuration not taken over: %s", why);
    return false;
}

static void reload(struct daemon *daemon)
{
    struct config fresh;
    if (load_again(daemon, &fresh)) {
        server_reload(&daemon->server, &fresh);
    }
}

static void signal_came(void *context, uint32_t what)
{
    (void)what;
    struct daemon *daemon = context;
    struct signalfd_siginfo info;
    while (read(daemon->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(daemon);
            continue;
        }
        log_line(&daemon->log, LOG_INFO, "main", "signal %u from pid %u: stopping", info.ssi_signo,
            info.ssi_pid);
        server_stop(&daemon->server);
    }
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return -1;
    }
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Every choice that would be made on this host, and why; nothing is served. */
static int explain(const struct config *config, const struct host *host)
{
    char why[SERVER_WHY];
    host_explain(host, stdout);
    struct loop *loop = NULL;
    int status = loop_open(&loop, (enum loop_choice)config->io, why, sizeof why);
    (void)printf("loop: %s\n", why);
    loop_close(loop);
    (void)printf("pool: %llu MiB in extents of %llu MiB, slots of at least %llu KiB\n",
        (unsigned long long)(config->pool_bytes >> 20),
        (unsigned long long)(config->extent_bytes >> 20),
        (unsigned long long)(config->slot_min_bytes >> 10));
    (void)printf(
        "shared memory: memfd, so the size of /dev/shm does not matter; a memory limit does\n");
    devices_explain(config, stdout);
    server_tiers_explain(config, stdout);
    (void)printf("poll: %llu us after the last request, on %u usable CPU(s)\n",
        (unsigned long long)(config->poll_ns / 1000), host->cpus_usable);
    (void)printf("keeper: %s\n",
        config->keeper == CONFIG_KEEPER_YES
            ? "a parent process keeps the memory if the server dies, and starts another"
            : "none, as asked: if the server dies, what was hot is lost");
    (void)printf("trust: %s map the pool for writing, all others write through staging\n",
        config->trusted_users.all ? "all users" : "the users of trusted_users");
    return status == STATUS_OK ? 0 : 1;
}

static int fail(struct log *log, int status, const char *why)
{
    log_line(log, LOG_ERROR, "main", "%s: %s", status_name(status), why);
    log_fini(log);
    return 1;
}

/* A server that follows another one: what its predecessor was told by SIGHUP counts for it too. */
static void catch_up(struct daemon *daemon)
{
    struct config fresh;
    char needs_restart[SERVER_WHY];
    if (load_again(daemon, &fresh)) {
        config_reload(&daemon->config, &fresh, needs_restart, sizeof needs_restart);
        daemon->log.level = (enum log_level)daemon->config.log_level;
    }
}

/* One server, from its start to its end; in a child of the keeper, or with `keep` NULL the whole
 * program. Returns the exit status. */
static int serve(void *context, struct keep *keep, bool again)
{
    struct daemon *daemon = context;
    char why[SERVER_WHY] = "";
    struct loop_watch *watch = NULL;
    struct server *server = &daemon->server;
    (void)prctl(PR_SET_NAME, "cisternd", 0, 0, 0);
    if (again) {
        catch_up(daemon);
    }
    daemon->signals = open_signals();
    if (daemon->signals < 0) {
        return fail(&daemon->log, STATUS_IO, strerror(errno));
    }
    int status =
        server_open(server, &daemon->config, &daemon->host, &daemon->log, keep, why, sizeof why);
    if (status != STATUS_OK && devices_told_to_end()) {
        log_line(&daemon->log, LOG_INFO, "main", "told to end before it served: %s", why);
        log_fini(&daemon->log);
        return 0;
    }
    if (status != STATUS_OK) {
        return fail(&daemon->log, status, why);
    }
    status = loop_watch(server->loop, daemon->signals, LOOP_LEVEL, signal_came, daemon, &watch);
    if (status == STATUS_OK) {
        status = keep_ready(keep);
    }
    if (status == STATUS_OK) {
        server_run(server);
    } else {
        log_line(&daemon->log, LOG_ERROR, "main", "%s: signals cannot be watched, or no keeper: %s",
            status_name(status), strerror(errno));
    }
    if (server->failed) { /* as a crash: nobody knows what the device still writes */
        log_fini(&daemon->log);
        _exit(1);
    }
    loop_unwatch(server->loop, watch);
    server_close(server);
    keep_close(keep);
    (void)close(daemon->signals);
    log_line(&daemon->log, LOG_INFO, "main", "stopped");
    log_fini(&daemon->log);
    if (server->devices.hung) { /* the driver's own end would wait for the copy that does not */
        _exit(status == STATUS_OK ? 0 : 1);
    }
    return status == STATUS_OK ? 0 : 1;
}

/* Lanes, their processes and the slabs of devices are descriptors, thousands of them: as many as we
 * may. Nothing here uses select(), for which the soft limit stands. */
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int main(int argc, char **argv)
{
    static struct daemon daemon; /* the one of this process; too large for a stack */
    struct config *config = &daemon.config;
    char why[SERVER_WHY];
    (void)prctl(PR_SET_NAME, "cistern-keeper", 0, 0, 0);
    daemon.argc = argc;
    daemon.argv = argv;
    if (config_load(config, argc, argv, environ, why, sizeof why) != STATUS_OK) {
        (void)fprintf(stderr, "cisternd: %s\n", why);
        return 2;
    }
    if (config->help) {
        config_help(stdout);
        return 0;
    }
    if (config->version) {
        (void)printf("cisternd %s\n", VERSION);
        return 0;
    }
    host_read("", &daemon.host);
    if (config_resolve(config, &daemon.host, why, sizeof why) != STATUS_OK) {
        (void)fprintf(stderr, "cisternd: %s\n", why);
        return 2;
    }
    if (config->print_config) {
        config_print(config, stdout);
        return 0;
    }
    if (config->explain) {
        return explain(config, &daemon.host);
    }
    raise_files();
    log_init(&daemon.log, STDERR_FILENO, (enum log_level)config->log_level);
    if (config->keeper == CONFIG_KEEPER_NO) {
        return serve(&daemon, NULL, false);
    }
    int status = keeper_run(&daemon.log, serve, &daemon);
    log_fini(&daemon.log);
    return status;
}
