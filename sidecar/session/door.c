/* door: listen, accept, hear. See door.h. */
#include "sidecar/session/door.h"

#include "shm/counter.h"
#include "shm/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 16u
#define WORDS_UNREAD 16u /* messages of a dead process that are looked through for its goodbye */

static void count_refusal(struct session_table *table)
{
    counter_add(table->blocks->counters, COUNTER_sessions_refused, 1);
}

static struct door *door_of(const struct session *session)
{
    return session->table->door;
}

/* What an attached client wrote to its socket: a goodbye, of this session or of a former one, and
 * nothing else, is expected there. Returns 0 for one of them, STATUS_BUSY for nothing,
 * STATUS_NO_SERVER for a hang-up, else STATUS_MALFORMED. */
static int hear(const struct session *session, struct hello *out_hello)
{
    struct hello hello = {0};
    uint32_t fds = 0;
    int status = hello_receive(session->socket, &hello, sizeof hello, NULL, 0, &fds);
    if (status != STATUS_OK) {
        return status;
    }
    if (hello.magic != HELLO_MAGIC || (hello.kind != HELLO_GOODBYE && hello.kind != HELLO_FORMER)) {
        return STATUS_MALFORMED;
    }
    *out_hello = hello;
    return STATUS_OK;
}

/* The process behind a session ended. It may have said goodbye just before, unread so far. */
static void process_ended(void *context, uint32_t what)
{
    (void)what;
    struct session *session = context;
    struct hello hello = {0};
    for (uint32_t i = 0; i < WORDS_UNREAD && session->state == SESSION_ATTACHED; i++) {
        if (hello.kind == HELLO_GOODBYE || hear(session, &hello) != STATUS_OK) {
            break;
        }
    }
    session_end(session, hello.kind == HELLO_GOODBYE);
}

static void hear_attached(struct session *session)
{
    struct hello hello;
    int status = hear(session, &hello);
    if (status == STATUS_OK && hello.kind == HELLO_GOODBYE) {
        session_end(session, true);
    } else if (status == STATUS_OK) {
        (void)session_give_up(session, hello.former, hello.former_epoch);
    } else if (status == STATUS_NO_SERVER) {
        session_revoke(session, "it hung up");
    } else if (status != STATUS_BUSY) {
        session_revoke(session, "it wrote to its socket what nobody asked for");
    }
}

/* Its bell: the loop is awake already, and every turn looks at all lanes. */
static void bell_rang(void *context, uint32_t what)
{
    (void)context;
    (void)what;
}

static int watch_attached(struct session *session)
{
    struct loop *loop = session->table->loop;
    int status =
        loop_watch(loop, session->bell, LOOP_EDGE, bell_rang, session, &session->bell_watch);
    if (status == STATUS_OK) {
        status = loop_watch(
            loop, session->pidfd, LOOP_LEVEL, process_ended, session, &session->pid_watch);
    }
    return status;
}

static void attach(struct session *session, const struct hello *hello)
{
    struct session_table *table = session->table;
    if (hello->former != 0) {
        /* Before its quotas are set: what the old lane was promised is free again. */
        (void)session_give_up(session, hello->former, hello->former_epoch);
    }
    if (welcome_attach(session, hello, &door_of(session)->gifts, watch_attached) != STATUS_OK) {
        session_end(session, true);
        return;
    }
    log_line(table->log, LOG_INFO, "door",
        "session %u: pid %d, uid %u, namespace '%s' (%u), %s, %u thread(s) with %u pin(s) each, "
        "%u grant(s), blocks of %llu bytes",
        session->number, session->pid, session->uid, hello->space.name, session->space,
        session->isolated ? "isolated" : "trusted", session->shape.seats, session->shape.pins,
        session->grants_max, (unsigned long long)session->block_bytes);
}

static void hear_greeting(struct session *session)
{
    struct session_table *table = session->table;
    struct hello hello;
    uint32_t fds = 0;
    int status = hello_receive(session->socket, &hello, sizeof hello, NULL, 0, &fds);
    if (status == STATUS_BUSY) {
        return;
    }
    if (status == STATUS_OK && (hello.magic != HELLO_MAGIC || hello.abi != LAYOUT_ABI)) {
        status = STATUS_VERSION;
    }
    if (status == STATUS_OK && hello.kind == HELLO_OBSERVE) {
        char info[HELLO_INFO];
        door_of(session)->describe(door_of(session)->context, info, sizeof info);
        welcome_observe(session->socket, &door_of(session)->gifts, info);
        session_end(session, true);
    } else if (status == STATUS_OK && hello.kind == HELLO_ATTACH) {
        attach(session, &hello);
    } else {
        if (status != STATUS_NO_SERVER) {
            char why[HELLO_WHY];
            (void)snprintf(why, sizeof why,
                "this sidecar speaks version %u of the protocol; the hello was %s", LAYOUT_ABI,
                status == STATUS_VERSION ? "of another" : "not understood");
            count_refusal(table);
            welcome_refuse(session->socket, status == STATUS_OK ? STATUS_MALFORMED : status, why);
            log_line(table->log, LOG_WARN, "door", "pid %d, uid %u not let in: its hello is %s",
                session->pid, session->uid,
                status == STATUS_VERSION ? "of another version" : "malformed");
        }
        session_end(session, true);
    }
}

static void socket_speaks(void *context, uint32_t what)
{
    (void)what; /* a hang-up reads as such */
    struct session *session = context;
    if (session->state == SESSION_GREETING) {
        hear_greeting(session);
    } else {
        hear_attached(session);
    }
}

/* One connection. Whatever is wrong, it ends here or becomes a greeting session. */
static void admit_connection(struct door *door, int socket)
{
    struct session_table *table = door->table;
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) {
        (void)close(socket);
        return;
    }
    if (!config_users_has(&table->config->allow_users, peer.uid)) {
        char why[HELLO_WHY];
        (void)snprintf(why, sizeof why,
            "user %u may not attach; add it to 'allow_users' of the sidecar", peer.uid);
        count_refusal(table);
        log_line(table->log, LOG_WARN, "door", "pid %d: %s", peer.pid, why);
        welcome_refuse(socket, STATUS_DENIED, why);
        (void)close(socket);
        return;
    }
    struct session *session = session_new(table, socket, peer.uid, peer.pid);
    if (session == NULL) {
        count_refusal(table);
        welcome_refuse(
            socket, STATUS_LIMIT, "too many connections wait at the door; try again in a moment");
        (void)close(socket);
        return;
    }
    if (loop_watch(table->loop, socket, LOOP_LEVEL, socket_speaks, session,
            &session->socket_watch) != STATUS_OK) {
        session_end(session, true);
    }
}

static void somebody_knocks(void *context, uint32_t what)
{
    (void)what;
    struct door *door = context;
    for (uint32_t i = 0; i < ACCEPTS_A_TURN; i++) {
        int socket = accept4(door->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                log_line(door->table->log, LOG_WARN, "door",
                    "cannot accept a connection: %s; raise the limit of open files (ulimit -n)",
                    strerror(errno));
            }
            return;
        }
        admit_connection(door, socket);
    }
}

/* The lock beside the path: held for as long as the server lives, free again however it dies. */
static int lock_path(struct door *door, char *why, size_t why_bytes)
{
    char path[CONFIG_PATH_BYTES + 8];
    char folder[CONFIG_PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", door->path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL && slash != folder) {
        *slash = '\0';
        (void)mkdir(folder, 0755);
    }
    (void)snprintf(path, sizeof path, "%s.lock", door->path);
    door->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (door->lock < 0) {
        (void)snprintf(why, why_bytes,
            "cannot open %s: %s; create the folder for this user, or choose another --socket", path,
            strerror(errno));
        return STATUS_IO;
    }
    if (flock(door->lock, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(why, why_bytes,
            "another sidecar serves %s; stop it, or choose another --socket", door->path);
        (void)close(door->lock);
        door->lock = -1;
        return STATUS_IO;
    }
    return STATUS_OK;
}

/* Take a dead server's socket away: we hold the lock, so whoever left it there is dead. Anything
 * else at this path is not ours to remove. Returns false if there is. */
static bool clear_path(const char *path)
{
    struct stat file;
    if (lstat(path, &file) == 0 && !S_ISSOCK(file.st_mode)) {
        return false;
    }
    (void)unlink(path);
    return true;
}

/* Take the lock of the server before us, and its socket if the path still leads to one: a server
 * that failed on its way up took the path away. Returns true if the socket is there. */
static bool inherit(struct door *door)
{
    struct stat file;
    struct keep *keep = door->table->keep;
    struct keep_item *item = keep == NULL ? NULL : keep_table_find(&keep->held, KEEP_DOOR, 0);
    if (item == NULL || item->fd_count != 2 || item->bytes != sizeof door->path ||
        memcmp(item->blob, door->path, sizeof door->path) != 0) {
        return false;
    }
    door->lock = item->fds[1];
    item->fds[1] = -1;
    if (lstat(door->path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    door->socket = item->fds[0];
    item->fds[0] = -1;
    return true;
}

static int listen_at(struct door *door, uint32_t mode, char *why, size_t why_bytes)
{
    const char *path = door->path;
    int status = door->lock >= 0 ? STATUS_OK : lock_path(door, why, why_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (!clear_path(path)) {
        (void)snprintf(
            why, why_bytes, "%s is there already and is no socket; choose another --socket", path);
        return STATUS_IO;
    }
    door->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(0777 & ~(mode_t)mode);
    int bound = door->socket < 0
                    ? -1
                    : bind(door->socket, (const struct sockaddr *)&address, sizeof address);
    (void)umask(before);
    if (bound != 0 || chmod(path, mode) != 0 || listen(door->socket, SOMAXCONN) != 0) {
        (void)snprintf(why, why_bytes, "cannot listen on %s: %s; choose another --socket", path,
            strerror(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

/* Hold the socket for a successor, and hear who knocks. */
static int attend(struct door *door, char *why, size_t why_bytes)
{
    const int fds[] = {door->socket, door->lock};
    int status = keep_hold(door->table->keep, KEEP_DOOR, 0, door->path, sizeof door->path, fds, 2);
    if (status == STATUS_OK) {
        status = loop_watch(
            door->table->loop, door->socket, LOOP_LEVEL, somebody_knocks, door, &door->watch);
    }
    if (status != STATUS_OK) {
        (void)snprintf(
            why, why_bytes, "cannot watch the socket %s: %s", door->path, strerror(errno));
    }
    return status;
}

int door_open(struct door *door, const char *path, uint32_t mode, char *why, size_t why_bytes)
{
    door->socket = -1;
    door->lock = -1;
    memset(door->path, 0, sizeof door->path);
    (void)snprintf(door->path, sizeof door->path, "%s", path);
    int status = inherit(door) ? STATUS_OK : listen_at(door, mode, why, why_bytes);
    if (status == STATUS_OK) {
        status = attend(door, why, why_bytes);
    }
    if (status != STATUS_OK) {
        door_close(door);
        return status;
    }
    door->table->door = door;
    return STATUS_OK;
}

void door_tick(struct door *door)
{
    struct session_table *table = door->table;
    for (uint32_t i = table->active_count; table->greetings > 0 && i-- > 0;) {
        struct session *session = table->places[table->active[i]];
        if (session->state != SESSION_GREETING) {
            continue;
        }
        /* Not from its accept: who is let in by the turn that ends a long sleep came at a time that
         * the table learns after that turn. */
        if (session->greeted_ns == 0) {
            session->greeted_ns = table->now_ns;
        } else if (table->now_ns - session->greeted_ns > DOOR_GREETING_NS) {
            session_end(session, false);
        }
    }
}

void door_close(struct door *door)
{
    loop_unwatch(door->table->loop, door->watch);
    door->watch = NULL;
    if (door->socket >= 0) {
        (void)close(door->socket);
        (void)unlink(door->path);
        door->socket = -1;
    }
    if (door->lock >= 0) {
        (void)close(door->lock); /* the file stays: taking it away would race with a successor */
        door->lock = -1;
    }
}
