/* fuzz_lane: two clients, one trusted, one isolated, that write anything anywhere in their lanes:
 * the server goes on, and afterwards every slot is accounted for.
 *
 * An input is a row of moves: one byte that says which, one that says whose, then what the move
 * takes.
 */
#include "tests/fuzz/target.h"
#include "tests/unit/sidecar/session/world.h"

#include "sidecar/block/claim.h"
#include "sidecar/block/evict.h"
#include "sidecar/block/quarantine.h"
#include "sidecar/session/reply.h"
#include "sidecar/session/touch.h"

#include <string.h>

#define EXTENTS 4u
#define PLAYERS 3u
#define MOVES 400u
#define KEYS 24u

enum move {
    MOVE_REQUEST, /* a likely request, through the ring as it should be */
    MOVE_COMMIT, /* of the last slot that was lent */
    MOVE_ENTRY, /* any 128 bytes as a request */
    MOVE_WORD, /* any word anywhere in the lane */
    MOVE_FLOOD, /* the whole lane, or a part of it, random */
    MOVE_TAIL, /* any request tail */
    MOVE_TURN,
    MOVE_TICK, /* time passes, and the server does what it does now and then */
    MOVE_HEAR, /* read the replies */
    MOVE_PIN, /* any record, any slot */
    MOVE_ANEW, /* the process dies, another one attaches */
    MOVE_KINDS
};

struct cast {
    struct world world;
    struct player players[PLAYERS];
    struct reply lent[PLAYERS]; /* the last grant that each heard of */
};

size_t target_seed(uint64_t *state, uint8_t *out_data, size_t room)
{
    size_t bytes = 0;
    uint64_t left = 8 + check_random(state) % 100;
    while (left-- > 0 && bytes + 20 < room) {
        uint64_t word = check_random(state);
        /* Mostly requests, turns and replies: what breaks a lane ends its session. */
        uint8_t kind = (uint8_t)(word % MOVE_KINDS);
        if (word >> 40 & 1) {
            static const uint8_t usual[] = {MOVE_REQUEST, MOVE_COMMIT, MOVE_TURN, MOVE_HEAR};
            kind = usual[word >> 41 & 3];
        }
        out_data[bytes++] = kind;
        for (uint32_t i = 0; i < 12; i++) {
            out_data[bytes++] = (uint8_t)check_random(state);
        }
    }
    return bytes;
}

static void enter(struct cast *cast, uint32_t who)
{
    struct hello hello = world_hello(who == 2 ? "other" : "same");
    hello.seats = 1 + who % 2;
    hello.flags = (who == 1 ? HELLO_ISOLATED : 0) | (who == 2 ? HELLO_LATE_WRITES : 0);
    hello.space.block_bytes = who == 2 ? 3 * WORLD_SLOT : WORLD_SLOT;
    player_enter(&cast->players[who], &cast->world, &hello);
    cast->lent[who] = (struct reply){0};
}

static void leave(struct cast *cast, uint32_t who)
{
    session_end(cast->players[who].session, false);
    player_leave(&cast->players[who]);
}

/* The next entry of seat 0's ring, whatever the server thinks of the ring: as a client would. */
static void push(struct player *player, const struct request *request)
{
    struct ring_writer *ring = &player->seats[0].requests;
    if (ring_room(ring, 1) > 0) {
        ring_fill(ring, request);
        ring_publish(ring);
    }
}

static void move_request(struct player *player, struct target_input *input)
{
    uint8_t kind = target_take8(input);
    uint8_t key = target_take8(input);
    struct request request = {
        .type = kind % (REQUEST_FETCH + 2u),
        .flags = target_take8(input),
        .cookie = target_take8(input),
        .count = target_take8(input) % 12u,
        .slot = target_take8(input),
        .generation = target_take8(input),
        .bytes = target_take32(input) % (4 * WORLD_SLOT),
        .timeout_ns = key * WORLD_MS,
        .key = world_key(key % KEYS),
        .parent = world_key(key / 2 % KEYS),
    };
    push(player, &request);
}

static void move_commit(struct cast *cast, uint32_t who, struct target_input *input)
{
    const struct reply *lent = &cast->lent[who];
    uint8_t key = target_take8(input);
    struct request request = {
        .type = target_take8(input) % 8 == 0 ? REQUEST_ABORT : REQUEST_COMMIT,
        .flags = target_take8(input),
        .slot = lent->slot,
        .generation = lent->generation,
        .bytes = lent->bytes,
        .key = world_key(key % KEYS),
        .parent = world_key(key / 2 % KEYS),
    };
    push(&cast->players[who], &request);
}

static void move_entry(struct player *player, struct target_input *input)
{
    struct request request;
    target_take(input, &request, sizeof request);
    push(player, &request);
}

static void move_word(struct player *player, struct target_input *input)
{
    uint64_t words = player->lane_client.bytes / sizeof(uint32_t);
    uint64_t at = target_take32(input) % words;
    shared32_store_relaxed((_Atomic uint32_t *)player->lane_client.base + at, target_take32(input));
}

static void move_flood(struct player *player, struct target_input *input)
{
    uint64_t state = target_take32(input);
    uint64_t words = player->lane_client.bytes / sizeof(uint64_t);
    uint64_t from = check_random(&state) % words;
    for (uint64_t i = from; i < words; i++) {
        shared64_store_relaxed(
            (_Atomic uint64_t *)player->lane_client.base + i, check_random(&state));
    }
}

static void move_tail(struct player *player, struct target_input *input)
{
    struct seat_client *client = player->seats[0].lane.client;
    uint32_t more = target_take32(input);
    uint32_t tail = shared32_load_relaxed(&client->request_tail);
    shared32_store_release(&client->request_tail, tail + (more % 4 == 0 ? more : more % 200));
}

static void move_tick(struct cast *cast, struct target_input *input)
{
    struct session_table *table = &cast->world.table;
    struct claim_answers answers = reply_answers(table);
    struct evict_sweep sweep = session_sweeper(table);
    table->now_ns += target_take8(input) * 100 * WORLD_MS;
    (void)claim_tick(&cast->world.blocks.claims, table->now_ns, &answers);
    (void)quarantine_tick(&cast->world.blocks, table->now_ns);
    (void)touch_drain(table);
    (void)evict_tick(&cast->world.blocks, &sweep);
    dispatch_wake(table);
}

static void move_hear(struct cast *cast, uint32_t who)
{
    struct player *player = &cast->players[who];
    struct reply reply;
    for (uint32_t i = 0; i < LANE_REPLIES && player_hear(player, 0, &reply); i++) {
        if (reply.type == REPLY_GRANT && reply.status == STATUS_OK) {
            const struct segment *to =
                player->staging.base != NULL ? &player->staging : &player->pool;
            target_must(reply.offset + reply.bytes <= to->bytes, "a lent slot lies in its memory");
            cast->lent[who] = reply;
        }
    }
    while (player_hear_event(player, &reply)) {
        target_must(reply.type == REPLY_WAIT || reply.type == REPLY_FETCH,
            "an event answers a wait or a fetch");
    }
}

static void move_pin(struct player *player, struct target_input *input)
{
    uint32_t record = target_take8(input) % player->shape.pins;
    shared32_store_release(&player->seats[0].lane.pins[record], target_take8(input));
    shared32_store_release(&player->seats[0].lane.client->pins_high, target_take8(input));
}

static void make_move(struct cast *cast, struct target_input *input)
{
    enum move move = (enum move)(target_take8(input) % MOVE_KINDS);
    uint32_t who = target_take8(input) % PLAYERS;
    struct player *player = &cast->players[who];
    switch (move) {
    case MOVE_REQUEST:
        move_request(player, input);
        break;
    case MOVE_COMMIT:
        move_commit(cast, who, input);
        break;
    case MOVE_ENTRY:
        move_entry(player, input);
        break;
    case MOVE_WORD:
        move_word(player, input);
        break;
    case MOVE_FLOOD:
        move_flood(player, input);
        break;
    case MOVE_TAIL:
        move_tail(player, input);
        break;
    case MOVE_TURN:
        target_must(dispatch_turn(&cast->world.table) <= 32 * 2 * PLAYERS, "a turn is bounded");
        break;
    case MOVE_TICK:
        move_tick(cast, input);
        break;
    case MOVE_HEAR:
        move_hear(cast, who);
        break;
    case MOVE_PIN:
        move_pin(player, input);
        break;
    case MOVE_ANEW:
        leave(cast, who);
        enter(cast, who);
        break;
    case MOVE_KINDS:
    default:
        break;
    }
}

/* Everybody is gone: whatever was lent is home, once the quarantine is over. */
static void check_end(struct world *world)
{
    struct session_table *table = &world->table;
    table->now_ns += 2 * world->config.quarantine_ns + world->config.claim_ns;
    (void)quarantine_tick(&world->blocks, table->now_ns);
    world_check(world);
    target_must(world_count(world, COUNTER_slots_lent) == 0, "no slot is lent");
    target_must(table->attached == 0 && table->promised_bytes == 0, "nobody is there");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct cast cast;
    struct target_input input = {.at = data, .left = bytes};
    world_open(&cast.world, EXTENTS);
    for (uint32_t who = 0; who < PLAYERS; who++) {
        enter(&cast, who);
    }
    for (uint32_t i = 0; i < MOVES && input.left > 0; i++) {
        make_move(&cast, &input);
    }
    (void)dispatch_turn(&cast.world.table);
    world_check(&cast.world);
    for (uint32_t who = 0; who < PLAYERS; who++) {
        leave(&cast, who);
    }
    check_end(&cast.world);
    world_close(&cast.world);
    return 0;
}
