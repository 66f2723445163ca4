/* double_server: the door and the loop of the double of the sidecar. See double_server.h. */
#include "tests/unit/libclient/double_server.h"

#include "shm/bell.h"
#include "shm/hint.h"
#include "shm/ring.h"
#include "shm/status.h"
#include "tests/check.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void end_session(struct double_session *session)
{
    (void)close(session->socket);
    (void)close(session->bell);
    segment_close(&session->client);
    segment_close(&session->server);
    segment_close(&session->staging);
    session->socket = -1;
}

static int make_session(struct double_server *server, struct double_session *session,
    const struct hello *hello, struct welcome *welcome)
{
    session->shape = (struct lane_shape){.seats = hello->seats, .pins = hello->pins};
    if (server->faults.seats_max != 0 && server->faults.seats_max < hello->seats) {
        session->shape.seats = server->faults.seats_max;
    }
    session->isolated = (hello->flags & HELLO_ISOLATED) != 0;
    session->device = server->device != NULL && server->device->status == 0 &&
                      (hello->flags & HELLO_DEVICE) != 0 && !session->isolated;
    session->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    session->staging = SEGMENT_NONE;
    uint64_t client_bytes = lane_client_bytes(&session->shape);
    uint64_t server_bytes = lane_server_bytes(&session->shape);
    int status = segment_make("double-client", client_bytes, false, &session->client);
    status |= segment_make("double-server", server_bytes, false, &session->server);
    if (session->isolated) {
        status |= segment_make("double-staging", server->pool.bytes, false, &session->staging);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < session->shape.seats; i++) {
        session->seats[i] =
            lane_seat_at(&session->shape, session->client.base, session->server.base, i);
        session->requests[i] = lane_request_reader(&session->seats[i]);
        session->replies[i] = lane_reply_writer(&session->seats[i]);
    }
    session->events = lane_event_writer(session->server.base, session->client.base);
    *welcome = (struct welcome){
        .magic = HELLO_MAGIC,
        .abi = server->faults.abi != 0 ? server->faults.abi : LAYOUT_ABI,
        .flags = session->isolated ? WELCOME_ISOLATED : 0,
        .session = 1,
        .space = 1,
        .seats = session->shape.seats,
        .pins = hello->pins,
        .grants = hello->grants,
        .fds = session->isolated ? HELLO_FD_MAX : HELLO_FD_STAGING,
        .index_bytes = server->index.bytes - (server->faults.cut_index ? LAYOUT_PAGE_BYTES : 0),
        .lane_client_bytes = client_bytes,
        .lane_server_bytes = server_bytes,
        .pool_bytes = server->pool.bytes,
        .staging_bytes = session->isolated ? server->pool.bytes : 0,
        .epoch = server->epoch,
        .host_slots = DOUBLE_SLOTS,
    };
    return status;
}

/* What the welcome says of the device. */
static void offer(const struct double_server *server, const struct double_session *session,
    const struct hello *hello, struct welcome *welcome)
{
    const struct double_device *device = server->device;
    if (device != NULL && device->status != 0 && (hello->flags & HELLO_DEVICE) != 0) {
        welcome->device_status = device->status;
        (void)snprintf(welcome->why, sizeof welcome->why, "%s", device->why);
    }
    if (session->device) {
        welcome->device_first = DOUBLE_OWN;
        welcome->device_slots = DOUBLE_DEVICE_SLOTS;
        welcome->device_slabs = DOUBLE_SLABS;
        welcome->device_kind = device->kind;
        welcome->device_grants = device->grants != 0 ? device->grants : welcome->grants;
        welcome->device_bytes = DOUBLE_SLABS * device->slab_bytes;
        welcome->device_slab_bytes = device->slab_bytes;
        welcome->device_pool = device->pool;
        welcome->fds += device->kind == HELLO_SLABS_FD ? DOUBLE_SLABS : 0;
        memcpy(welcome->device_ipc, device->ipc, sizeof device->ipc);
    }
    for (uint32_t i = 0; device != NULL && i < CHECK_COUNT(device->lie); i++) {
        const struct double_lie *lie = &device->lie[i];
        memcpy((char *)welcome + lie->at, &lie->value, lie->bytes);
    }
}

static void greet(struct double_server *server, uint32_t at, const struct hello *hello)
{
    struct double_session *session = &server->sessions[at];
    struct welcome welcome;
    server->heard = *hello;
    if (server->faults.refuse != 0 || make_session(server, session, hello, &welcome) != STATUS_OK) {
        welcome = (struct welcome){
            .magic = HELLO_MAGIC, .abi = LAYOUT_ABI, .status = server->faults.refuse};
        (void)snprintf(welcome.why, sizeof welcome.why, "%s", server->faults.why);
        (void)hello_send(session->socket, &welcome, sizeof welcome, NULL, 0);
        (void)close(session->socket);
        session->socket = -1;
        return;
    }
    uint32_t count = welcome.fds - (server->faults.wrong_fds ? 1 : 0);
    offer(server, session, hello, &welcome);
    int fds[HELLO_FD_MAX + DOUBLE_SLABS] = {segment_open_readonly(&server->index), session->bell,
        session->client.fd, segment_open_readonly(&session->server), server->pool.fd,
        session->staging.fd};
    if (session->isolated) {
        fds[HELLO_FD_POOL] = segment_open_readonly(&server->pool);
    }
    if (session->device && server->device->kind == HELLO_SLABS_FD) {
        memcpy(&fds[HELLO_FD_STAGING], server->device->fds, sizeof server->device->fds);
        count += DOUBLE_SLABS;
    }
    (void)hello_send(session->socket, &welcome, sizeof welcome, fds, count);
    (void)close(fds[HELLO_FD_INDEX]);
    (void)close(fds[HELLO_FD_LANE_SERVER]);
    if (session->isolated) {
        (void)close(fds[HELLO_FD_POOL]);
    }
}

static void open_door(struct double_server *server)
{
    int socket = accept4(server->door, NULL, NULL, SOCK_CLOEXEC);
    if (socket < 0) {
        return;
    }
    struct hello hello;
    uint32_t count;
    int none[1];
    uint32_t at = 0;
    while (at < DOUBLE_SESSIONS && server->sessions[at].socket >= 0) {
        at++;
    }
    if (at == DOUBLE_SESSIONS || server->faults.late_welcome ||
        hello_receive(socket, &hello, sizeof hello, none, 0, &count) != STATUS_OK) {
        server->faults.late_welcome = false;
        (void)close(socket);
        return;
    }
    server->sessions[at].socket = socket;
    greet(server, at, &hello);
}

/* Returns whether there was work. */
static bool work(struct double_server *server)
{
    bool worked = false;
    for (uint32_t s = 0; s < DOUBLE_SESSIONS && !server->mute; s++) {
        struct double_session *session = &server->sessions[s];
        for (uint32_t i = 0; session->socket >= 0 && i < session->shape.seats; i++) {
            struct ring_reader *ring = &session->requests[i];
            while (ring_look(ring) == RING_ENTRY) {
                struct request request = {0};
                ring_copy(ring, &request);
                ring_return(ring);
                double_handle(server, s, i, &request);
                worked = true;
            }
        }
    }
    double_expire(server, now_ns());
    return worked;
}

static void look_at_sockets(struct double_server *server, const struct pollfd *polls)
{
    for (uint32_t s = 0; s < DOUBLE_SESSIONS; s++) {
        struct double_session *session = &server->sessions[s];
        if (polls[2 + s].revents == 0 || session->socket < 0) {
            continue;
        }
        struct hello word = {0};
        ssize_t got = recv(session->socket, &word, sizeof word, MSG_DONTWAIT);
        bool former = got == (ssize_t)sizeof word && word.kind == HELLO_FORMER;
        if (got == (ssize_t)sizeof word && word.kind == HELLO_GOODBYE) {
            server->goodbye_heard = true;
        }
        if (got >= 0 && !former) { /* of a former session it took nothing over */
            end_session(session);
        }
    }
    if (polls[1].revents != 0) {
        open_door(server);
    }
}

static void *run(void *argument)
{
    struct double_server *server = argument;
    _Atomic uint32_t *sleeping = &server->view.header->server_sleeping;
    (void)pthread_mutex_lock(&server->lock);
    while (!server->stopping) {
        struct pollfd polls[2 + 2 * DOUBLE_SESSIONS] = {
            {.fd = server->wake, .events = POLLIN}, {.fd = server->door, .events = POLLIN}};
        for (uint32_t s = 0; s < DOUBLE_SESSIONS; s++) {
            bool open = server->sessions[s].socket >= 0;
            polls[2 + s] =
                (struct pollfd){.fd = open ? server->sessions[s].socket : -1, .events = POLLIN};
            polls[2 + DOUBLE_SESSIONS + s] =
                (struct pollfd){.fd = open ? server->sessions[s].bell : -1, .events = POLLIN};
        }
        server->sleep_number += 2;
        bell_announce(sleeping, server->sleep_number - 1);
        int timeout = work(server) ? 0 : 5;
        (void)pthread_mutex_unlock(&server->lock);
        (void)poll(polls, CHECK_COUNT(polls), timeout);
        (void)pthread_mutex_lock(&server->lock);
        bell_awake(sleeping, server->sleep_number);
        for (uint32_t s = 0; s < DOUBLE_SESSIONS; s++) {
            uint64_t rings;
            if (polls[2 + DOUBLE_SESSIONS + s].revents != 0 && server->sessions[s].socket >= 0) {
                assert_int_equal(read(server->sessions[s].bell, &rings, sizeof rings), 8);
            }
        }
        look_at_sockets(server, polls);
    }
    (void)pthread_mutex_unlock(&server->lock);
    return NULL;
}

void double_start(struct double_server *server, const char *path, uint64_t epoch,
    const struct double_faults *faults)
{
    double_start_with(server, path, epoch, faults, NULL);
}

void double_start_with(struct double_server *server, const char *path, uint64_t epoch,
    const struct double_faults *faults, const struct double_device *device)
{
    memset((void *)server, 0, sizeof *server);
    server->device = device;
    (void)snprintf(server->path, sizeof server->path, "%s", path);
    server->faults = faults == NULL ? (struct double_faults){0} : *faults;
    server->epoch = epoch;
    for (uint32_t i = 0; i < DOUBLE_SESSIONS; i++) {
        server->sessions[i].socket = -1;
    }
    uint64_t pool_bytes = (uint64_t)DOUBLE_SLOTS * DOUBLE_BLOCK;
    uint64_t index_bytes = layout_index_bytes(DOUBLE_SLOTS_ALL, DOUBLE_STORED);
    assert_int_equal(segment_make("double-pool", pool_bytes, false, &server->pool), STATUS_OK);
    assert_int_equal(segment_make("double-index", index_bytes, false, &server->index), STATUS_OK);
    layout_index_init(server->index.base, DOUBLE_SLOTS_ALL, DOUBLE_STORED, pool_bytes, epoch);
    assert_int_equal(layout_index_view(server->index.base, index_bytes, &server->view), STATUS_OK);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)unlink(path);
    server->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->door, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->door, 64), 0);
    server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&server->lock, NULL);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
}

static void end(struct double_server *server, uint64_t epoch)
{
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)pthread_mutex_unlock(&server->lock);
    bell_ring(server->wake);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    shared64_store_release(&server->view.header->epoch, epoch);
    (void)unlink(server->path);
    (void)close(server->door);
    (void)close(server->wake);
    for (uint32_t s = 0; s < DOUBLE_SESSIONS; s++) {
        if (server->sessions[s].socket >= 0) {
            end_session(&server->sessions[s]);
        }
    }
    segment_close(&server->index);
    segment_close(&server->pool);
    (void)pthread_mutex_destroy(&server->lock);
}

void double_stop(struct double_server *server)
{
    end(server, server->epoch + 1);
}

void double_crash(struct double_server *server)
{
    end(server, server->epoch);
}

uint32_t double_add(
    struct double_server *server, const struct cistern_key *key, uint8_t fill, uint32_t bytes)
{
    struct slot_content content = {.bytes = bytes, .space = 1};
    memcpy(&content.key, key, sizeof content.key);
    (void)pthread_mutex_lock(&server->lock);
    uint32_t slot = 0;
    while (slot_state_of(slot_load_state(&server->view.lines[slot])) != SLOT_FREE) {
        slot++;
        assert_true(slot < DOUBLE_SLOTS);
    }
    content.offset = (uint64_t)slot * DOUBLE_BLOCK;
    memset((char *)server->pool.base + content.offset, fill, bytes);
    (void)slot_reserve(&server->view.lines[slot], SLOT_LOADING);
    (void)slot_publish(&server->view.lines[slot], &content);
    assert_true(hint_add(&server->view, &content.key, HINT_HOT, slot));
    (void)pthread_mutex_unlock(&server->lock);
    return slot;
}

void double_add_on(struct double_server *server, const struct cistern_key *key, uint32_t slot,
    uint64_t offset, uint32_t bytes)
{
    struct slot_content content = {.offset = offset,
        .bytes = bytes,
        .space = 1,
        .tier = (uint8_t)slot_tier_of_device((slot - DOUBLE_SLOTS) / DOUBLE_DEVICE_SLOTS)};
    memcpy(&content.key, key, sizeof content.key);
    (void)pthread_mutex_lock(&server->lock);
    (void)slot_reserve(&server->view.lines[slot], SLOT_LOADING);
    (void)slot_publish(&server->view.lines[slot], &content);
    assert_true(hint_add(&server->view, &content.key, HINT_HOT, slot));
    (void)pthread_mutex_unlock(&server->lock);
}

void double_add_cold(struct double_server *server, const struct cistern_key *key)
{
    struct key copy;
    memcpy(&copy, key, sizeof copy);
    (void)pthread_mutex_lock(&server->lock);
    assert_true(hint_add(&server->view, &copy, HINT_COLD, 7));
    (void)pthread_mutex_unlock(&server->lock);
}

bool double_is_pinned(struct double_server *server, uint32_t slot)
{
    bool pinned = false;
    (void)pthread_mutex_lock(&server->lock);
    for (uint32_t s = 0; s < DOUBLE_SESSIONS; s++) {
        struct double_session *session = &server->sessions[s];
        for (uint32_t i = 0; session->socket >= 0 && i < session->shape.seats; i++) {
            /* As the sweep does: only below the mark. */
            uint32_t high = shared32_load_acquire(&session->seats[i].client->pins_high);
            for (uint32_t record = 0; record < high; record++) {
                pinned =
                    pinned || shared32_load_acquire(&session->seats[i].pins[record]) == slot + 1;
            }
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
    return pinned;
}

uint32_t double_count_lent(struct double_server *server)
{
    uint32_t count = 0;
    (void)pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < DOUBLE_SLOTS_ALL; i++) {
        enum slot_state state = slot_state_of(slot_load_state(&server->view.lines[i]));
        count += state == SLOT_RESERVED || state == SLOT_LOADING;
    }
    (void)pthread_mutex_unlock(&server->lock);
    return count;
}
