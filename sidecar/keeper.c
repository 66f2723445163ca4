/* keeper: see keeper.h. */
#include "sidecar/keeper.h"

#include "shm/hello.h"
#include "shm/status.h"
#include "sidecar/moment.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define MESSAGES_A_TURN 256u /* so that signals are seen between them */
#define TURNS_MAX 1024u /* a socket holds much less than so many turns of messages */
#define LONG_LIFE_NS (1000 * MS) /* after so long a life the next server starts at once */
#define DELAY_LEAST_NS (10 * MS)
#define DELAY_MOST_NS (500 * MS)
#define CRASHES 3u /* so many within CRASH_NS, and the memory is given up */
#define CRASH_NS (10000 * MS)

struct keeper {
    struct log *log;
    keeper_serve *serve;
    void *context;
    sigset_t before; /* the signal mask of our caller */
    int signals;
    int socket; /* to the server; -1: there is none */
    pid_t server; /* 0: none */
    struct keep_table held;
    bool torn; /* something could not be held: what is held is not all */
    bool cold; /* the next server is not to take over */
    bool fresh; /* this server was told so */
    bool ready; /* this server serves */
    bool served; /* this one or one before it did */
    bool stopping;
    uint64_t born_ns;
    uint64_t start_ns; /* when the next server starts */
    uint64_t delay_ns;
    uint64_t crash_ns[CRASHES]; /* the last ones, oldest first; 0: none */
};

/* The child's part. Never returns. */
static void become_server(struct keeper *keeper, pid_t parent, int socket)
{
    /* Our death is the server's clean end. Ours may have come before the call. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent) {
        exit(1);
    }
    /* The other signals stay blocked: the server listens to them when it is ready to stop. */
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_UNBLOCK, &children, NULL);
    (void)close(keeper->signals);
    struct keep keep = {.socket = socket, .held = keeper->held, .cold = keeper->cold};
    exit(keeper->serve(keeper->context, &keep, keeper->served));
}

/* Returns false after a log line. */
static bool start(struct keeper *keeper)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        log_line(keeper->log, LOG_ERROR, "keeper",
            "no socket for a server: %s; raise the limit of open files (ulimit -n)",
            strerror(errno));
        return false;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        become_server(keeper, parent, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        log_line(keeper->log, LOG_ERROR, "keeper",
            "no process for a server: %s; raise the limit of processes (ulimit -u)",
            strerror(errno));
        (void)close(ends[0]);
        return false;
    }
    keeper->server = pid;
    keeper->socket = ends[0];
    keeper->ready = false;
    keeper->fresh = keeper->cold;
    keeper->born_ns = moment_ns();
    if (keeper->cold) {
        /* The server has its own copies, to tell the clients of that memory. */
        keep_table_close(&keeper->held);
        keeper->cold = false;
        keeper->torn = false;
    }
    return true;
}

static void hold(
    struct keeper *keeper, struct keep_message *message, const int *fds, uint32_t count)
{
    struct keep_item item = {.kind = message->kind,
        .id = message->id,
        .bytes = message->bytes,
        .fd_count = count,
        .blob = message->blob};
    for (uint32_t i = 0; i < count; i++) {
        item.fds[i] = fds[i];
    }
    int status = STATUS_MALFORMED;
    if (item.kind > 0 && item.kind < KEEP_KINDS && item.bytes <= KEEP_TABLE_BYTES) {
        status = keep_table_put(&keeper->held, &item);
    }
    if (status != STATUS_OK) {
        for (uint32_t i = 0; i < count; i++) {
            (void)close(fds[i]);
        }
        keeper->torn = true;
        log_line(keeper->log, LOG_WARN, "keeper",
            "cannot hold item %u of kind %u: %s; after a crash the cache starts cold", item.id,
            item.kind, status_name(status));
    }
}

/* Read what the server sent. Returns true if it hung up and all is read. */
static bool hear(struct keeper *keeper, uint32_t most)
{
    for (uint32_t i = 0; i < most; i++) {
        struct keep_message message;
        int fds[KEEP_TABLE_FDS];
        uint32_t count = 0;
        int status =
            hello_receive(keeper->socket, &message, sizeof message, fds, KEEP_TABLE_FDS, &count);
        if (status == STATUS_BUSY || status == STATUS_NO_SERVER) {
            return status == STATUS_NO_SERVER;
        }
        if (status == STATUS_OK && message.magic == KEEP_MAGIC && message.verb == KEEP_HOLD) {
            hold(keeper, &message, fds, count);
            continue;
        }
        for (uint32_t at = 0; status == STATUS_OK && at < count; at++) {
            (void)close(fds[at]);
        }
        if (status == STATUS_OK && message.magic == KEEP_MAGIC && message.verb == KEEP_DROP) {
            keep_table_drop(&keeper->held, message.kind, message.id);
        } else if (status == STATUS_OK && message.magic == KEEP_MAGIC &&
                   message.verb == KEEP_READY) {
            keeper->ready = true;
            keeper->served = true;
        } else {
            /* Descriptors got lost, most likely because we may not open more. */
            keeper->torn = true;
            log_line(keeper->log, LOG_WARN, "keeper",
                "a message of the server did not arrive whole; raise the limit of open files "
                "(ulimit -n), else the cache starts cold after a crash");
        }
    }
    return false;
}

/* Did servers die by their own fault again and again, perhaps of what they took over? A kill -9
 * comes from outside and says nothing about the memory. */
static bool is_a_crash_loop(struct keeper *keeper, int how, uint64_t now)
{
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL) {
        return false;
    }
    memmove(keeper->crash_ns, keeper->crash_ns + 1, sizeof keeper->crash_ns - sizeof now);
    keeper->crash_ns[CRASHES - 1] = now;
    return keeper->crash_ns[0] != 0 && now - keeper->crash_ns[0] < CRASH_NS;
}

/* The server is dead: prepare another. */
static void succeed(struct keeper *keeper, int how)
{
    uint64_t now = moment_ns();
    uint64_t life = now - keeper->born_ns;
    uint64_t longer = keeper->delay_ns == 0 ? DELAY_LEAST_NS : 2 * keeper->delay_ns;
    bool first = keeper->start_ns == 0;
    keeper->delay_ns = life > LONG_LIFE_NS || first ? 0
                       : longer < DELAY_MOST_NS     ? longer
                                                    : DELAY_MOST_NS;
    keeper->start_ns = now + keeper->delay_ns;
    bool loop = is_a_crash_loop(keeper, how, now);
    log_line(keeper->log, LOG_ERROR, "keeper",
        "the server (pid %d) %s %d after %llu ms; %u item(s) are held, another starts in %llu ms",
        keeper->server, WIFSIGNALED(how) ? "was ended by signal" : "ended with status",
        WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how), (unsigned long long)(life / MS),
        keeper->held.count, (unsigned long long)(keeper->delay_ns / MS));
    if (loop || keeper->torn) {
        log_line(keeper->log, LOG_ERROR, "keeper",
            "%s: the next server starts with an empty cache; remedy: %s",
            loop ? "three servers crashed within 10 s, perhaps of what they took over"
                 : "what is held is not whole",
            loop ? "report the lines above" : "raise the limit of open files (ulimit -n)");
        keeper->cold = true;
        memset(keeper->crash_ns, 0, sizeof keeper->crash_ns);
    }
}

/* Reap whoever ended: as process 1 of a container that may be anybody. Returns true if it is over,
 * and the exit status. */
static bool reap(struct keeper *keeper, int *out_status)
{
    int how;
    pid_t pid;
    while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
        if (pid != keeper->server) {
            continue;
        }
        /* Its end is closed: what is left to read is finite. */
        for (uint32_t i = 0; i < TURNS_MAX && !hear(keeper, MESSAGES_A_TURN); i++) {
        }
        (void)close(keeper->socket);
        keeper->socket = -1;
        bool clean = WIFEXITED(how) && WEXITSTATUS(how) == 0;
        /* It never came up, and not because of what it took over: another one would not either. */
        bool hopeless = !keeper->served || (keeper->fresh && !keeper->ready);
        if (clean || keeper->stopping || hopeless) {
            *out_status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
            keeper->server = 0;
            return true;
        }
        succeed(keeper, how);
        keeper->server = 0;
    }
    return false;
}

/* Returns true if it is over, and the exit status. */
static bool take_signals(struct keeper *keeper, int *out_status)
{
    struct signalfd_siginfo info;
    while (read(keeper->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD) {
            if (reap(keeper, out_status)) {
                return true;
            }
            continue;
        }
        if (number != SIGHUP) {
            keeper->stopping = true;
        }
        if (keeper->server > 0) {
            (void)kill(keeper->server, number);
        } else if (keeper->stopping) {
            *out_status = 0;
            return true;
        }
    }
    return false;
}

/* How long to wait, in ms: for ever, or until the next server is to start. */
static int patience(const struct keeper *keeper)
{
    if (keeper->server > 0) {
        return -1;
    }
    uint64_t now = moment_ns();
    return now >= keeper->start_ns ? 0 : (int)((keeper->start_ns - now) / MS) + 1;
}

static int turn(struct keeper *keeper)
{
    int status = 1;
    for (;;) {
        if (keeper->server == 0 && moment_ns() >= keeper->start_ns && !start(keeper)) {
            return 1;
        }
        struct pollfd look[2] = {
            {.fd = keeper->signals, .events = POLLIN}, {.fd = keeper->socket, .events = POLLIN}};
        int ready = poll(look, 2, patience(keeper));
        if (ready < 0 && errno != EINTR) {
            log_line(keeper->log, LOG_ERROR, "keeper", "poll: %s", strerror(errno));
            return 1;
        }
        if (ready > 0 && look[1].revents != 0 && hear(keeper, MESSAGES_A_TURN)) {
            /* It hung up: its end follows. */
            look[1].fd = -1;
            (void)poll(look, 1, -1);
        }
        if (take_signals(keeper, &status)) {
            return status;
        }
    }
}

int keeper_run(struct log *log, keeper_serve *serve, void *context)
{
    struct keeper keeper = {.log = log, .serve = serve, .context = context, .socket = -1};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    /* Whoever read our log may be gone. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, &keeper.before) != 0 ||
        (keeper.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0) {
        log_line(log, LOG_ERROR, "keeper", "signals cannot be watched: %s", strerror(errno));
        return 1;
    }
    int status = turn(&keeper);
    keep_table_close(&keeper.held);
    (void)close(keeper.signals);
    (void)sigprocmask(SIG_SETMASK, &keeper.before, NULL);
    return status;
}
