/* world: a table of sessions over real segments, and players: clients that a test moves by hand.
 *
 * One thread, no clock: time is what world.table.now_ns says. The players attach over a socket pair
 * as a client does, map what they are sent, and own the client's ends of the rings.
 */
#ifndef CISTERN_TESTS_UNIT_SIDECAR_SESSION_WORLD_H
#define CISTERN_TESTS_UNIT_SIDECAR_SESSION_WORLD_H

#include "shm/hello.h"
#include "shm/lane.h"
#include "shm/pin.h"
#include "shm/status.h"
#include "sidecar/session/dispatch.h"
#include "sidecar/session/session.h"
#include "sidecar/session/welcome.h"

#include "tests/check.h"

#define WORLD_SLOT UINT64_C(4096)
#define WORLD_PER 16u /* slots an extent */
#define WORLD_UID 1000u
#define WORLD_MS UINT64_C(1000000)
#define WORLD_SLABS 2u
#define WORLD_GPU 0xd0u /* each byte of its UUID */
#define PLAYER_SEATS 4u

struct world {
    struct config config;
    struct log log;
    int log_fd;
    struct segment index;
    struct segment pool;
    struct blocks blocks;
    struct loop *loop;
    struct session_table table;
    struct welcome_gifts gifts;
    struct device_gift device; /* of a world of two tiers */
    struct slab_pool slabs; /* numbers and descriptors of nothing: nobody maps them */
};

struct player_seat {
    struct lane_seat lane;
    struct ring_writer requests;
    struct ring_reader replies;
    struct pin_seat pins;
    uint32_t touch_tail;
};

struct player {
    struct world *world;
    struct session *session; /* the server's; dangles after its end */
    uint32_t number;
    int socket;
    int bell;
    struct welcome welcome;
    int fds[HELLO_FDS]; /* as received, until mapped; then -1 */
    uint32_t fd_count;
    struct segment index;
    struct segment lane_client;
    struct segment lane_server;
    struct segment pool;
    struct segment staging;
    struct lane_shape shape;
    struct player_seat seats[PLAYER_SEATS];
    struct ring_reader events;
};

/* A pool of `extents` extents of WORLD_PER slots; every user is trusted. With `device` ones behind
 * them, of a GPU that world_hello_device() asks for; they have no memory. */
void world_open(struct world *world, uint32_t extents);
void world_open_tiers(struct world *world, uint32_t extents, uint32_t device);
void world_close(struct world *world);

uint64_t world_count(const struct world *world, enum counter which);

/* Every slot is free, hot, lent or at rest, and all books agree on which. */
void world_check(const struct world *world);

/* A hello of one thread with 8 pins, 8 grants and blocks of one slot, for namespace `name`. */
struct hello world_hello(const char *name);
struct hello world_hello_device(const char *name);

struct key world_key(uint64_t number);

/* Knock and say hello as user `uid`. Returns the status of the welcome; a refused player holds only
 * the welcome, and player_leave() is still due. */
int player_greet(
    struct player *player, struct world *world, const struct hello *hello, uint32_t uid);

/* Map what the welcome brought. */
void player_map(struct player *player);

/* Both, and it must work. */
void player_enter(struct player *player, struct world *world, const struct hello *hello);

/* Give all of the client's side back; the server is told nothing. */
void player_leave(struct player *player);

/* Put a request into a seat's ring; the server is not turned. */
void player_ask(struct player *player, uint32_t seat, const struct request *request);

/* The next reply of a seat, or of the event ring. Returns false if there is none. */
bool player_hear(struct player *player, uint32_t seat, struct reply *out_reply);
bool player_hear_event(struct player *player, struct reply *out_reply);

/* Ask, turn the server once, and hear one answer. */
struct reply player_call(struct player *player, uint32_t seat, const struct request *request);

/* One slot lent. */
struct reply player_borrow(struct player *player, uint32_t seat);

/* Borrow a slot, fill it, commit it as `number`, and turn the server. */
void player_put(struct player *player, uint64_t number);

/* Is the block of this number hot in the player's namespace? */
bool player_sees(const struct player *player, uint64_t number);

#endif
