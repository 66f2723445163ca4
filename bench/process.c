/* process: fork, exec, wait for the socket, stop by pid. */
#include "bench/process.h"

#include "bench/clock.h"
#include "bench/pin_cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUARDED_MAX 4
#define STOP_PATIENCE_NS (10 * CLOCK_NS_PER_S)

/* What a signal handler may need; entries are set and cleared by this process alone. */
static struct process *guarded[GUARDED_MAX];
static pid_t guard_owner;

static void on_signal(int number)
{
    /* Only calls that are safe in a handler. Workers die with us: they asked the kernel for it. */
    for (int i = 0; i < GUARDED_MAX && getpid() == guard_owner; i++) {
        if (guarded[i] != NULL) {
            if (guarded[i]->pid > 0) {
                kill(guarded[i]->pid, SIGTERM);
            }
            unlink(guarded[i]->socket_path);
            unlink(guarded[i]->lock_path);
            rmdir(guarded[i]->folder);
        }
    }
    _exit(128 + number);
}

bool process_find(
    const char *given, const char *beside, const char *option, char out_path[PATH_MAX])
{
    char wanted[PATH_MAX];
    if (given != NULL) {
        snprintf(wanted, sizeof wanted, "%s", given);
    } else {
        ssize_t length = readlink("/proc/self/exe", wanted, sizeof wanted - 1);
        if (length < 0) {
            return false;
        }
        wanted[length] = '\0';
        char *slash = strrchr(wanted, '/');
        size_t room = slash == NULL ? 0 : sizeof wanted - (size_t)(slash + 1 - wanted);
        if (strlen(beside) >= room) {
            return false;
        }
        memcpy(slash + 1, beside, strlen(beside) + 1);
    }
    if (realpath(wanted, out_path) == NULL || access(out_path, X_OK) != 0) {
        fprintf(stderr, "cistern-bench: nothing to run at %s: %s; build it%s%s%s\n", wanted,
            strerror(errno), option == NULL ? "" : ", or give ", option == NULL ? "" : option,
            option == NULL ? "" : " PATH");
        return false;
    }
    return true;
}

void process_guard(void)
{
    guard_owner = getpid();
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool process_prepare(struct process *out_process, const char *socket_name)
{
    struct process process = {0};
    snprintf(process.folder, sizeof process.folder, "/tmp/cistern-bench-XXXXXX");
    if (mkdtemp(process.folder) == NULL) {
        fprintf(stderr, "cistern-bench: no temporary folder in /tmp: %s\n", strerror(errno));
        return false;
    }
    int length = snprintf(process.socket_path, sizeof process.socket_path, "%.64s/%.24s",
        process.folder, socket_name);
    if (length < 0) {
        return false;
    }
    snprintf(process.lock_path, sizeof process.lock_path, "%.90s.lock", process.socket_path);
    *out_process = process;
    for (int i = 0; i < GUARDED_MAX; i++) {
        if (guarded[i] == NULL) {
            guarded[i] = out_process;
            break;
        }
    }
    return true;
}

static bool accepts(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    /* Not every door is a stream: ask for both kinds. */
    static const int kinds[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        int fd = socket(AF_UNIX, kinds[i] | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return false;
        }
        int refused = connect(fd, (const struct sockaddr *)&address, sizeof address);
        close(fd);
        if (refused == 0) {
            return true;
        }
    }
    return false;
}

static _Noreturn void run_child(
    const struct process *process, char *const argv[], int core, bool quiet, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    if (quiet) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) {
            dup2(null, STDOUT_FILENO);
            dup2(null, STDERR_FILENO);
        }
    } else {
        dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output is ours: it may carry the JSON */
    }
    if (!pin_cpu(core)) {
        fprintf(stderr, "cistern-bench: core %d refused for %s\n", core, argv[0]);
    }
    /* A relative program path was made absolute by the caller. */
    if (chdir(process->folder) == 0) {
        execvp(argv[0], argv);
    }
    fprintf(stderr, "cistern-bench: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

bool process_start(
    struct process *process, char *const argv[], int core, bool quiet, int64_t timeout_ns)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        fprintf(stderr, "cistern-bench: cannot fork: %s\n", strerror(errno));
        process_stop(process);
        return false;
    }
    if (pid == 0) {
        run_child(process, argv, core, quiet, parent);
    }
    process->pid = pid;
    int64_t deadline = clock_now_ns() + timeout_ns;
    while (!accepts(process->socket_path)) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            process->pid = 0;
            fprintf(stderr, "cistern-bench: %s ended before its socket was ready\n", argv[0]);
            process_stop(process);
            return false;
        }
        if (clock_now_ns() > deadline) {
            fprintf(stderr, "cistern-bench: %s: no answer on its socket\n", argv[0]);
            process_stop(process);
            return false;
        }
        clock_sleep_until(clock_now_ns() + 2 * CLOCK_NS_PER_MS);
    }
    return true;
}

bool process_alive(const struct process *process)
{
    siginfo_t info = {0};
    return process->pid > 0 &&
           waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

pid_t process_child(const struct process *process)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process->pid, (int)process->pid);
    FILE *file = process->pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL || fscanf(file, "%d", &child) != 1) {
        child = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return child;
}

double process_cpu_seconds(const struct process *process)
{
    char path[64];
    unsigned long long user = 0;
    unsigned long long system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    FILE *file = process->pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    char line[1024];
    const char *rest = fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    /* Fields 14 and 15, counted from the one behind the name's bracket. */
    if (rest == NULL || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                            &user, &system) != 2) {
        return 0;
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void process_stop(struct process *process)
{
    if (process->pid > 0) {
        kill(process->pid, SIGTERM);
        int64_t deadline = clock_now_ns() + STOP_PATIENCE_NS;
        while (waitpid(process->pid, NULL, WNOHANG) == 0) {
            if (clock_now_ns() > deadline) {
                fprintf(
                    stderr, "cistern-bench: process %d does not stop: killed\n", (int)process->pid);
                kill(process->pid, SIGKILL);
                waitpid(process->pid, NULL, 0);
                break;
            }
            clock_sleep_until(clock_now_ns() + 2 * CLOCK_NS_PER_MS);
        }
    }
    if (process->folder[0] != '\0') {
        unlink(process->socket_path);
        unlink(process->lock_path);
        if (rmdir(process->folder) != 0 && errno != ENOENT) {
            fprintf(stderr, "cistern-bench: %s is left: %s\n", process->folder, strerror(errno));
        }
    }
    for (int i = 0; i < GUARDED_MAX; i++) {
        if (guarded[i] == process) {
            guarded[i] = NULL;
        }
    }
    *process = (struct process){0};
}
