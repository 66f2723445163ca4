/* hold: see hold.h. Entries of a fixed table, linked by slot and by session. */
#include "sidecar/block/hold.h"

#include <assert.h>

uint64_t hold_arena_bytes(uint32_t holds_max, uint32_t slots, uint32_t sessions_max)
{
    return arena_bytes(holds_max, sizeof(struct hold_entry)) +
           arena_bytes(slots, sizeof(uint32_t)) +
           arena_bytes((uint64_t)sessions_max + 1, sizeof(struct hold_session)) +
           deadline_arena_bytes(holds_max);
}

void hold_open(struct holds *holds, uint32_t holds_max, uint32_t slots, uint32_t sessions_max,
    _Atomic uint64_t *counters, struct arena *arena)
{
    *holds = (struct holds){
        .entries = arena_take(arena, holds_max, sizeof(struct hold_entry)),
        .of_slot = arena_take(arena, slots, sizeof(uint32_t)),
        .sessions = arena_take(arena, (uint64_t)sessions_max + 1, sizeof(struct hold_session)),
        .sessions_max = sessions_max,
        .counters = counters,
    };
    deadline_open(&holds->deadlines, holds_max, arena);
    for (uint32_t i = 0; i < holds_max; i++) {
        holds->entries[i].next = i + 1 < holds_max ? i + 1 : HOLD_END;
    }
    for (uint32_t i = 0; i < slots; i++) {
        holds->of_slot[i] = HOLD_END;
    }
    for (uint32_t i = 0; i <= sessions_max; i++) {
        holds->sessions[i].first = HOLD_END;
    }
}

/* The hold of this slot by this owner, or HOLD_END. A slot has few: one for each that fetched it.
 * */
static uint32_t find(const struct holds *holds, uint32_t slot, uint32_t owner)
{
    uint32_t at = holds->of_slot[slot];
    while (at != HOLD_END && holds->entries[at].session != owner) {
        at = holds->entries[at].next;
    }
    return at;
}

/* Returns the entry, or HOLD_END if all are in use. */
static uint32_t add(struct holds *holds, uint32_t slot, uint32_t owner)
{
    uint32_t at = holds->free;
    if (at == HOLD_END) {
        return at;
    }
    struct hold_session *session = &holds->sessions[owner];
    holds->free = holds->entries[at].next;
    holds->entries[at] = (struct hold_entry){
        .slot = slot,
        .session = owner,
        .next = holds->of_slot[slot],
        .before = HOLD_END,
        .after = session->first,
    };
    if (session->first != HOLD_END) {
        holds->entries[session->first].before = at;
    }
    session->first = at;
    session->count++;
    holds->of_slot[slot] = at;
    holds->count++;
    counter_set(holds->counters, COUNTER_holds_now, holds->count);
    return at;
}

static void end(struct holds *holds, uint32_t at)
{
    struct hold_entry *entry = &holds->entries[at];
    struct hold_session *session = &holds->sessions[entry->session];
    uint32_t *link = &holds->of_slot[entry->slot];
    while (*link != at) {
        assert(*link != HOLD_END);
        link = &holds->entries[*link].next;
    }
    *link = entry->next;
    if (entry->before != HOLD_END) {
        holds->entries[entry->before].after = entry->after;
    } else {
        session->first = entry->after;
    }
    if (entry->after != HOLD_END) {
        holds->entries[entry->after].before = entry->before;
    }
    assert(session->count > 0 && holds->count > 0);
    session->count--;
    holds->count--;
    deadline_drop(&holds->deadlines, at);
    entry->next = holds->free;
    holds->free = at;
    counter_set(holds->counters, COUNTER_holds_now, holds->count);
}

bool hold_take(struct holds *holds, uint32_t slot, uint32_t session, uint64_t until_ns)
{
    assert(session < holds->sessions_max);
    uint32_t at = find(holds, slot, session);
    if (at == HOLD_END) {
        at = add(holds, slot, session);
    }
    if (at == HOLD_END) {
        return false;
    }
    deadline_set(&holds->deadlines, at, until_ns);
    return true;
}

bool hold_copy(struct holds *holds, uint32_t slot)
{
    assert(find(holds, slot, holds->sessions_max) == HOLD_END);
    return add(holds, slot, holds->sessions_max) != HOLD_END;
}

void hold_copied(struct holds *holds, uint32_t slot)
{
    uint32_t at = find(holds, slot, holds->sessions_max);
    assert(at != HOLD_END);
    end(holds, at);
}

bool hold_copying(const struct holds *holds, uint32_t slot)
{
    return find(holds, slot, holds->sessions_max) != HOLD_END;
}

void hold_touched(struct holds *holds, uint32_t slot, uint32_t session)
{
    /* Nearly always nothing is held: then a touch costs no line of its own. */
    if (holds->sessions[session].count == 0) {
        return;
    }
    uint32_t at = find(holds, slot, session);
    if (at != HOLD_END) {
        end(holds, at);
    }
}

void hold_drop(struct holds *holds, uint32_t session)
{
    assert(session < holds->sessions_max);
    while (holds->sessions[session].first != HOLD_END) {
        end(holds, holds->sessions[session].first);
    }
}

uint64_t hold_tick(struct holds *holds, uint64_t now_ns)
{
    uint64_t at_ns = UINT64_MAX;
    for (uint32_t i = 0; i < HOLD_TICK_MAX; i++) {
        uint32_t at = deadline_first(&holds->deadlines, &at_ns);
        if (at == DEADLINE_NONE || at_ns > now_ns) {
            return at_ns;
        }
        end(holds, at);
        counter_add(holds->counters, COUNTER_holds_expired, 1);
    }
    (void)deadline_first(&holds->deadlines, &at_ns);
    return at_ns;
}
