/* daemon: fork, exec, wait for the socket; see daemon.h. */
#include "tests/e2e/daemon.h"

#include "shm/hello.h"
#include "shm/layout.h"
#include "shm/status.h"
#include "tests/e2e/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_NS UINT64_C(20000000000)
#define STOP_NS UINT64_C(20000000000)

static void find_program(char *out_path, size_t bytes)
{
    const char *build = getenv("CISTERN_BUILD");
    (void)snprintf(out_path, bytes, "%s/sidecar/cisternd", build != NULL ? build : "build");
}

bool daemon_is_built(void)
{
    char path[512];
    find_program(path, sizeof path);
    if (access(path, X_OK) == 0) {
        return true;
    }
    (void)printf("skipped: %s is not built (or set CISTERN_BUILD to the build folder)\n", path);
    return false;
}

void daemon_clean_environment(void)
{
    for (size_t i = 0; environ[i] != NULL;) {
        char name[128];
        size_t length = strcspn(environ[i], "=");
        if (strncmp(environ[i], "CISTERN_", 8) != 0 || length >= sizeof name) {
            i++;
            continue;
        }
        memcpy(name, environ[i], length);
        name[length] = '\0';
        (void)unsetenv(name); /* moves the following ones up */
    }
}

/* The child's part: becomes cisternd. */
static void become(const struct daemon *daemon)
{
    const char *arguments[4 + DAEMON_FLAGS + 1] = {
        daemon->program, NULL, "--pool=16MiB", "--extent=1MiB"};
    char socket_flag[128];
    (void)snprintf(socket_flag, sizeof socket_flag, "--socket=%s", daemon->socket);
    arguments[1] = socket_flag;
    for (int i = 0; i < DAEMON_FLAGS && daemon->flags[i] != NULL; i++) {
        arguments[4 + i] = daemon->flags[i];
    }
    daemon_clean_environment();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0) {
        _exit(126);
    }
    (void)execv(daemon->program, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

/* Ask it who it is. That somebody listens is not enough: the kernel may keep the listening socket
 * of a killed server for a moment longer. Returns false if nobody answers. */
static bool ask(const struct daemon *daemon, int64_t patience_us, struct welcome *out_welcome)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = patience_us / 1000000, .tv_usec = patience_us % 1000000};
    struct hello hello = {.magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .kind = HELLO_OBSERVE};
    uint32_t fds = 0;
    memcpy(address.sun_path, daemon->socket, strlen(daemon->socket) + 1);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool answered = fd >= 0 &&
                    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                    connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (answered) {
        (void)hello_send(fd, &hello, sizeof hello, NULL, 0);
        answered = hello_receive(fd, out_welcome, sizeof *out_welcome, NULL, 0, &fds) == STATUS_OK;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return answered;
}

static bool answers(const struct daemon *daemon)
{
    struct welcome welcome;
    return ask(daemon, 1000000, &welcome) &&
           (welcome.status == STATUS_OK || welcome.status == STATUS_DENIED);
}

pid_t daemon_server(const struct daemon *daemon)
{
    struct welcome welcome;
    int pid = 0;
    if (!ask(daemon, 1000000, &welcome) || welcome.status != STATUS_OK) {
        return 0;
    }
    welcome.info[sizeof welcome.info - 1] = '\0';
    return sscanf(welcome.info, "pid %d", &pid) == 1 ? pid : 0;
}

pid_t daemon_awaits(const struct daemon *daemon, pid_t old)
{
    uint64_t deadline = child_now_ns() + START_NS;
    while (child_now_ns() < deadline) {
        pid_t pid = daemon_server(daemon);
        if (pid != 0 && pid != old) {
            return pid;
        }
        child_nap();
    }
    (void)fprintf(stderr, "no other server came after %d:\n", (int)old);
    daemon_show_log(daemon);
    return 0;
}

/* SIGKILL a process that is not our child, and wait until it is gone. */
static void kill_stranger(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    (void)kill(pid, SIGKILL);
    if (pidfd >= 0) {
        struct pollfd look = {.fd = pidfd, .events = POLLIN};
        (void)poll(&look, 1, (int)(STOP_NS / 1000000u));
        (void)close(pidfd);
    }
}

pid_t daemon_kill_server(const struct daemon *daemon)
{
    pid_t pid = daemon_server(daemon);
    if (pid > 0) {
        kill_stranger(pid);
    }
    return pid;
}

bool daemon_lives(const struct daemon *daemon)
{
    if (daemon->pid <= 0) {
        return false;
    }
    siginfo_t info = {0};
    /* Not reaped: only looked at. */
    int status = waitid(P_PID, (id_t)daemon->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return status == 0 && info.si_pid == 0;
}

bool daemon_restart(struct daemon *daemon)
{
    pid_t pid = fork();
    if (pid == 0) {
        become(daemon);
    }
    daemon->pid = pid > 0 ? pid : 0;
    uint64_t deadline = child_now_ns() + START_NS;
    while (pid > 0 && daemon_lives(daemon) && child_now_ns() < deadline) {
        if (answers(daemon)) {
            return true;
        }
        child_nap();
    }
    (void)fprintf(stderr, "cisternd did not start:\n");
    daemon_show_log(daemon);
    daemon_kill(daemon);
    return false;
}

bool daemon_start(struct daemon *out_daemon, const char *const flags[])
{
    struct daemon daemon = {.folder = "/tmp/cistern-test-XXXXXX"};
    if (mkdtemp(daemon.folder) == NULL) {
        (void)fprintf(stderr, "no folder in /tmp: %s\n", strerror(errno));
        return false;
    }
    find_program(daemon.program, sizeof daemon.program);
    (void)snprintf(daemon.socket, sizeof daemon.socket, "%s/socket", daemon.folder);
    (void)snprintf(daemon.log, sizeof daemon.log, "%s/log", daemon.folder);
    for (int i = 0; flags != NULL && i < DAEMON_FLAGS && flags[i] != NULL; i++) {
        daemon.flags[i] = flags[i];
    }
    *out_daemon = daemon;
    if (!daemon_restart(out_daemon)) {
        daemon_close(out_daemon);
        return false;
    }
    return true;
}

/* The children of a process, of which a keeper has one. 0: none. */
static pid_t child_of(pid_t parent)
{
    char path[64];
    int pid = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%d", &pid) != 1) {
        pid = 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return pid;
}

void daemon_kill(struct daemon *daemon)
{
    if (daemon->pid > 0) {
        /* Stopped, it starts no other server; killed first, it would let this one end cleanly. */
        (void)kill(daemon->pid, SIGSTOP);
        pid_t server = child_of(daemon->pid);
        if (server > 0) {
            kill_stranger(server);
        }
        (void)kill(daemon->pid, SIGKILL);
        (void)waitpid(daemon->pid, NULL, 0);
        daemon->pid = 0;
    }
}

bool daemon_stop(struct daemon *daemon)
{
    if (daemon->pid <= 0) {
        return false;
    }
    uint64_t deadline = child_now_ns() + STOP_NS;
    (void)kill(daemon->pid, SIGTERM);
    while (daemon_lives(daemon) && child_now_ns() < deadline) {
        child_nap();
    }
    if (daemon_lives(daemon)) {
        (void)fprintf(stderr, "cisternd did not stop on SIGTERM:\n");
        daemon_show_log(daemon);
        daemon_kill(daemon);
        return false;
    }
    int status = 0;
    (void)waitpid(daemon->pid, &status, 0);
    daemon->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)fprintf(stderr, "cisternd ended with wait status 0x%x:\n", (unsigned)status);
        daemon_show_log(daemon);
        return false;
    }
    return true;
}

void daemon_show_log(const struct daemon *daemon)
{
    char line[1024];
    FILE *log = fopen(daemon->log, "re");
    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        (void)fprintf(stderr, "    cisternd: %s", line);
    }
    if (log != NULL) {
        (void)fclose(log);
    }
}

bool daemon_logged(const struct daemon *daemon, const char *words)
{
    char line[2048];
    bool found = false;
    FILE *log = fopen(daemon->log, "re");
    while (log != NULL && !found && fgets(line, sizeof line, log) != NULL) {
        found = strstr(line, words) != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return found;
}

bool daemon_logs(const struct daemon *daemon, const char *words)
{
    uint64_t deadline = child_now_ns() + CHILD_WAIT_NS;
    while (!daemon_logged(daemon, words)) {
        if (child_now_ns() >= deadline) {
            (void)fprintf(stderr, "the log lacks \"%s\":\n", words);
            daemon_show_log(daemon);
            return false;
        }
        child_nap();
    }
    return true;
}

void daemon_close(struct daemon *daemon)
{
    daemon_kill(daemon);
    if (daemon->folder[0] == '\0') {
        return;
    }
    char lock[128];
    (void)snprintf(lock, sizeof lock, "%s.lock", daemon->socket);
    (void)unlink(lock);
    (void)unlink(daemon->socket);
    (void)unlink(daemon->log);
    (void)rmdir(daemon->folder);
    daemon->folder[0] = '\0';
}

int daemon_set_up(void **state)
{
    static struct daemon daemon;
    *state = &daemon;
    return daemon_start(&daemon, NULL) ? 0 : -1;
}

int daemon_tear_down(void **state)
{
    bool clean = daemon_stop(*state);
    daemon_close(*state);
    return clean ? 0 : -1;
}
