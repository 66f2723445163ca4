/* grant: lists through the slots, one a session. */
#include "sidecar/session/grant.h"

#include "shm/status.h"

#include <assert.h>
#include <stdlib.h>

int grant_open(struct grants *out_grants, uint32_t slots)
{
    struct grants grants = {
        .borrower = calloc(slots, sizeof *grants.borrower),
        .next = calloc(slots, sizeof *grants.next),
        .previous = calloc(slots, sizeof *grants.previous),
        .slots = slots,
    };
    if (grants.borrower == NULL || grants.next == NULL || grants.previous == NULL) {
        grant_close(&grants);
        return STATUS_NO_MEMORY;
    }
    *out_grants = grants;
    return STATUS_OK;
}

void grant_close(struct grants *grants)
{
    if (grants == NULL) {
        return;
    }
    free(grants->borrower);
    free(grants->next);
    free(grants->previous);
    *grants = (struct grants){0};
}

void grant_lend(struct grants *grants, struct grant_list *list, uint32_t number, uint32_t slot)
{
    assert(slot < grants->slots && number != 0);
    assert(grants->borrower[slot] == 0);
    grants->borrower[slot] = number;
    grants->next[slot] = list->first;
    grants->previous[slot] = GRANT_NONE;
    if (list->first != GRANT_NONE) {
        grants->previous[list->first] = slot;
    }
    list->first = slot;
    list->count++;
}

void grant_home(struct grants *grants, struct grant_list *list, uint32_t slot)
{
    assert(slot < grants->slots && grants->borrower[slot] != 0);
    assert(list->count > 0);
    uint32_t next = grants->next[slot];
    uint32_t previous = grants->previous[slot];
    if (previous == GRANT_NONE) {
        assert(list->first == slot);
        list->first = next;
    } else {
        grants->next[previous] = next;
    }
    if (next != GRANT_NONE) {
        grants->previous[next] = previous;
    }
    grants->borrower[slot] = 0;
    list->count--;
}
