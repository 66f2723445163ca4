/* grant: which session each lent slot of the pool belongs to.
 *
 * A slot is lent from the moment of its grant until its commit, its abort, or the end of its
 * session. Called by dispatch and session, on the server's loop. Always: a slot has at most one
 * borrower, and a session's list holds exactly the slots that name it.
 */
#ifndef CISTERN_SIDECAR_SESSION_GRANT_H
#define CISTERN_SIDECAR_SESSION_GRANT_H

#include <stdint.h>

#define GRANT_NONE UINT32_MAX

/* Three words a slot, in private memory. */
struct grants {
    uint32_t *borrower; /* session number, 0: not lent */
    uint32_t *next; /* of the same session's list; GRANT_NONE ends it */
    uint32_t *previous;
    uint32_t slots;
};

/* A session's own list. */
struct grant_list {
    uint32_t first;
    uint32_t count;
};

#define GRANT_LIST_EMPTY ((struct grant_list){.first = GRANT_NONE})

/* Returns 0 or STATUS_NO_MEMORY. */
int grant_open(struct grants *out_grants, uint32_t slots);
void grant_close(struct grants *grants);

/* Lend a slot that nobody has to session `number`. */
void grant_lend(struct grants *grants, struct grant_list *list, uint32_t number, uint32_t slot);

/* The slot came home; it must be on `list`. */
void grant_home(struct grants *grants, struct grant_list *list, uint32_t slot);

/* Who has the slot? 0: nobody. `slot` is below grants->slots. */
static inline uint32_t grant_borrower(const struct grants *grants, uint32_t slot)
{
    return grants->borrower[slot];
}

#endif
