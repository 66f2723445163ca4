/* world: see world.h. */
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/admit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static void open_blocks(struct world *world, uint32_t extents, uint32_t device)
{
    struct blocks_limits limits = {
        .pool_bytes = extents * WORLD_PER * WORLD_SLOT,
        .device_bytes = device * WORLD_PER * WORLD_SLOT,
        .extent_bytes = WORLD_PER * WORLD_SLOT,
        .slot_bytes_min = WORLD_SLOT,
        .devices = device > 0,
        .policy = POLICY_LRU,
        .quarantine_ns = world->config.quarantine_ns,
        .claims = {.sessions_max = SESSION_PLACES,
            .claims_max = 256,
            .waiters_max = 256,
            .claims_per_session = 8,
            .waits_per_session = 8,
            .seed = 1},
    };
    uint32_t slots = (extents + device) * WORLD_PER;
    uint64_t bytes = layout_index_bytes(slots, 0);
    assert_int_equal(segment_make("world-index", bytes, false, &world->index), STATUS_OK);
    assert_int_equal(segment_make("world-pool", limits.pool_bytes, false, &world->pool), STATUS_OK);
    layout_index_init(world->index.base, slots, 0, limits.pool_bytes, 7);
    assert_int_equal(blocks_open(&world->blocks, &limits, world->index.base, bytes), STATUS_OK);
}

static void give_device(struct world *world, uint32_t extents)
{
    world->slabs = (struct slab_pool){
        .count = WORLD_SLABS, .slab_bytes = extents * WORLD_PER * WORLD_SLOT / WORLD_SLABS};
    for (uint32_t i = 0; i < WORLD_SLABS; i++) {
        world->slabs.slab[i].fd = eventfd(i + 1, EFD_CLOEXEC);
        assert_true(world->slabs.slab[i].fd >= 0);
    }
    world->device = (struct device_gift){.slabs = &world->slabs, .pool_id = 77, .usable = true};
    memset(world->device.uuid.byte, WORLD_GPU, sizeof world->device.uuid.byte);
    world->gifts.devices = &world->device;
    world->gifts.device_count = 1;
}

void world_open(struct world *world, uint32_t extents)
{
    world_open_tiers(world, extents, 0);
}

void world_open_tiers(struct world *world, uint32_t extents, uint32_t device)
{
    char why[512];
    char *const nothing[] = {"cisternd", NULL};
    *world = (struct world){.index = SEGMENT_NONE, .pool = SEGMENT_NONE};
    assert_int_equal(config_load(&world->config, 1, nothing, nothing + 1, why, sizeof why), 0);
    world->config.trusted_users = (struct config_users){.all = true};
    world->config.allow_users = (struct config_users){.all = true};
    world->log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(world->log_fd >= 0);
    log_init(&world->log, world->log_fd, LOG_DEBUG);
    open_blocks(world, extents, device);
    assert_int_equal(loop_open(&world->loop, LOOP_EPOLL, why, sizeof why), STATUS_OK);
    assert_int_equal(session_open_table(&world->table, &world->blocks, world->loop, &world->log,
                         &world->config, world->pool.base),
        STATUS_OK);
    world->table.now_ns = 1000 * WORLD_MS;
    world->gifts = (struct welcome_gifts){
        .index_readonly = segment_open_readonly(&world->index),
        .pool_readonly = segment_open_readonly(&world->pool),
        .pool_writable = world->pool.fd,
        .index_bytes = world->index.bytes,
        .pool_bytes = world->pool.bytes,
        .epoch = 7,
    };
    assert_true(world->gifts.index_readonly >= 0 && world->gifts.pool_readonly >= 0);
    if (device > 0) {
        give_device(world, device);
    }
}

void world_close(struct world *world)
{
    session_close_table(&world->table);
    loop_close(world->loop);
    blocks_close(&world->blocks);
    (void)close(world->gifts.index_readonly);
    (void)close(world->gifts.pool_readonly);
    for (uint32_t i = 0; i < world->slabs.count; i++) {
        (void)close(world->slabs.slab[i].fd);
    }
    segment_close(&world->index);
    segment_close(&world->pool);
    log_fini(&world->log);
    (void)close(world->log_fd);
}

uint64_t world_count(const struct world *world, enum counter which)
{
    return counter_get(world->blocks.counters, which);
}

/* The slots of one session's list, each of which must name it. */
static uint32_t walk_lent(const struct world *world, const struct session *session)
{
    uint32_t count = 0;
    const struct grants *grants = &world->table.grants;
    for (uint32_t at = session->lent.first; at != GRANT_NONE; at = grants->next[at]) {
        assert_true(at < grants->slots && count < grants->slots);
        assert_int_equal(grant_borrower(grants, at), session->number);
        count++;
    }
    assert_int_equal(count, session->lent.count);
    return count;
}

static void check_staging(const struct staging *staging)
{
    uint32_t lent = 0;
    for (uint32_t i = 0; i < staging->places; i++) {
        lent += staging->generation[i] % 2;
    }
    assert_int_equal(lent + staging->free_count, staging->places);
}

void world_check(const struct world *world)
{
    const struct pool *pool = &world->blocks.pool;
    uint64_t states[SLOT_EVICTING + 1] = {0};
    for (uint32_t i = 0; i < world->blocks.index.slots; i++) {
        states[slot_state_of(slot_load_state(&world->blocks.index.lines[i]))]++;
    }
    uint64_t lent = 0;
    for (uint32_t i = 0; i < world->table.active_count; i++) {
        const struct session *session = world->table.places[world->table.active[i]];
        lent += walk_lent(world, session);
        check_staging(&session->staging);
    }
    uint64_t used = 0;
    uint64_t free = 0;
    for (uint32_t i = 0; i < pool->extent_count; i++) {
        used += pool->extents[i].used;
    }
    for (uint32_t i = 0; i < pool->class_count; i++) {
        free += pool->classes[i].free;
    }
    assert_int_equal(states[SLOT_LOADING], 0);
    assert_int_equal(states[SLOT_EVICTING], 0);
    assert_int_equal(states[SLOT_RESERVED], lent + world->blocks.quarantine.count);
    assert_int_equal(used, states[SLOT_RESERVED] + states[SLOT_VALID]);
    assert_int_equal(world_count(world, COUNTER_slots_hot), states[SLOT_VALID]);
    assert_int_equal(world_count(world, COUNTER_slots_lent), states[SLOT_RESERVED]);
    assert_int_equal(world_count(world, COUNTER_slots_free), free);
}

struct hello world_hello(const char *name)
{
    struct hello hello = {
        .magic = HELLO_MAGIC,
        .abi = LAYOUT_ABI,
        .kind = HELLO_ATTACH,
        .seats = 1,
        .pins = 8,
        .grants = 8,
        .space = {.block_bytes = WORLD_SLOT, .block_tokens = 16, .tp_size = 1, .pp_size = 1},
    };
    (void)snprintf(hello.space.name, sizeof hello.space.name, "%s", name);
    return hello;
}

struct hello world_hello_device(const char *name)
{
    struct hello hello = world_hello(name);
    hello.flags |= HELLO_DEVICE;
    memset(hello.device, WORLD_GPU, sizeof hello.device);
    return hello;
}

struct key world_key(uint64_t number)
{
    struct key key;
    uint64_t state = number;
    for (int i = 0; i < 4; i++) {
        key.word[i] = check_random(&state);
    }
    return key;
}

/* The loop of a world is never turned: nothing needs to be watched. */
static int not_watched(struct session *session)
{
    (void)session;
    return STATUS_OK;
}

int player_greet(
    struct player *player, struct world *world, const struct hello *hello, uint32_t uid)
{
    int ends[2];
    *player = (struct player){
        .world = world,
        .bell = -1,
        .index = SEGMENT_NONE,
        .lane_client = SEGMENT_NONE,
        .lane_server = SEGMENT_NONE,
        .pool = SEGMENT_NONE,
        .staging = SEGMENT_NONE,
    };
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    player->socket = ends[1];
    player->session = session_new(&world->table, ends[0], uid, getpid());
    assert_non_null(player->session);
    player->number = player->session->number;
    int status = welcome_attach(player->session, hello, &world->gifts, not_watched);
    assert_int_equal(hello_receive(player->socket, &player->welcome, sizeof player->welcome,
                         player->fds, HELLO_FDS, &player->fd_count),
        STATUS_OK);
    assert_int_equal(player->welcome.status, status);
    assert_int_equal(player->welcome.fds, player->fd_count);
    if (status != STATUS_OK) {
        session_end(player->session, true);
        player->session = NULL;
    }
    return status;
}

static void map(struct player *player, enum hello_fd which, uint64_t bytes, bool writable,
    struct segment *out_segment)
{
    assert_int_equal(segment_map(player->fds[which], bytes, writable, out_segment), STATUS_OK);
    player->fds[which] = -1;
}

void player_map(struct player *player)
{
    const struct welcome *welcome = &player->welcome;
    bool isolated = (welcome->flags & WELCOME_ISOLATED) != 0;
    map(player, HELLO_FD_INDEX, welcome->index_bytes, false, &player->index);
    map(player, HELLO_FD_LANE_CLIENT, welcome->lane_client_bytes, true, &player->lane_client);
    map(player, HELLO_FD_LANE_SERVER, welcome->lane_server_bytes, false, &player->lane_server);
    map(player, HELLO_FD_POOL, welcome->pool_bytes, !isolated, &player->pool);
    if (isolated) {
        map(player, HELLO_FD_STAGING, welcome->staging_bytes, true, &player->staging);
    }
    player->bell = player->fds[HELLO_FD_BELL];
    for (uint32_t i = HELLO_FD_STAGING; !isolated && i < player->fd_count; i++) {
        (void)close(player->fds[i]); /* a device's: nothing here maps it */
    }
    player->shape = (struct lane_shape){.seats = welcome->seats, .pins = welcome->pins};
    assert_in_range(player->shape.seats, 1, PLAYER_SEATS);
    for (uint32_t i = 0; i < player->shape.seats; i++) {
        struct player_seat *seat = &player->seats[i];
        seat->lane =
            lane_seat_at(&player->shape, player->lane_client.base, player->lane_server.base, i);
        seat->requests = lane_request_writer(&seat->lane);
        seat->replies = lane_reply_reader(&seat->lane);
        seat->pins = (struct pin_seat){.records = seat->lane.pins,
            .high_word = &seat->lane.client->pins_high,
            .count = player->shape.pins};
    }
    struct lane_client_header *header = player->lane_client.base;
    shared32_store_release(&header->seats_used, player->shape.seats);
    player->events = lane_event_reader(player->lane_server.base, header);
}

void player_enter(struct player *player, struct world *world, const struct hello *hello)
{
    int status = player_greet(player, world, hello, WORLD_UID);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", status_name(status), player->welcome.why);
    }
    player_map(player);
}

void player_leave(struct player *player)
{
    if (player->bell >= 0) {
        (void)close(player->bell);
    } else {
        for (uint32_t i = 0; i < player->fd_count; i++) {
            (void)close(player->fds[i]);
        }
    }
    if (player->socket >= 0) {
        (void)close(player->socket);
    }
    segment_close(&player->index);
    segment_close(&player->lane_client);
    segment_close(&player->lane_server);
    segment_close(&player->pool);
    segment_close(&player->staging);
}

void player_ask(struct player *player, uint32_t seat, const struct request *request)
{
    struct ring_writer *ring = &player->seats[seat].requests;
    assert_true(ring_room(ring, 1) > 0);
    ring_fill(ring, request);
    ring_publish(ring);
}

static bool hear(struct ring_reader *ring, struct reply *out_reply)
{
    if (ring_look(ring) != RING_ENTRY) {
        return false;
    }
    ring_copy(ring, out_reply);
    ring_return(ring);
    return true;
}

bool player_hear(struct player *player, uint32_t seat, struct reply *out_reply)
{
    return hear(&player->seats[seat].replies, out_reply);
}

bool player_hear_event(struct player *player, struct reply *out_reply)
{
    return hear(&player->events, out_reply);
}

struct reply player_call(struct player *player, uint32_t seat, const struct request *request)
{
    struct reply reply;
    player_ask(player, seat, request);
    assert_int_equal(dispatch_turn(&player->world->table), 1);
    assert_true(player_hear(player, seat, &reply));
    assert_int_equal(reply.cookie, request->cookie);
    return reply;
}

struct reply player_borrow(struct player *player, uint32_t seat)
{
    struct request request = {.type = REQUEST_GRANT, .count = 1, .cookie = 99};
    struct reply reply = player_call(player, seat, &request);
    assert_int_equal(reply.type, REPLY_GRANT);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.flags, REPLY_LAST);
    return reply;
}

void player_put(struct player *player, uint64_t number)
{
    struct reply lent = player_borrow(player, 0);
    const struct segment *to = player->staging.base != NULL ? &player->staging : &player->pool;
    assert_true(lent.offset + lent.bytes <= to->bytes);
    memset((char *)to->base + lent.offset, (int)(number & 0xff), lent.bytes);
    struct request commit = {
        .type = REQUEST_COMMIT,
        .slot = lent.slot,
        .generation = lent.generation,
        .bytes = lent.bytes,
        .key = world_key(number),
    };
    player_ask(player, 0, &commit);
    assert_int_equal(dispatch_turn(&player->world->table), 1);
}

bool player_sees(const struct player *player, uint64_t number)
{
    struct key key = world_key(number);
    return admit_find(&player->world->blocks, &key, (uint16_t)player->welcome.space) != HINT_NONE;
}
