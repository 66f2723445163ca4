/* hint: the server's changes to the hint table. Called by sidecar/block. */
#include "shm/hint.h"

#include <assert.h>

#define HINT_SPARE 3u /* free words of a first bucket under which the second is looked at */

/* Count the free words of a bucket; `out_free` is one of them if there is any. */
static uint32_t count_free(const struct hint_bucket *bucket, uint32_t *out_free)
{
    uint32_t count = 0;
    for (uint32_t i = 8; i-- > 0;) {
        if (shared64_load_relaxed(&bucket->word[i]) == 0) {
            *out_free = i;
            count++;
        }
    }
    return count;
}

bool hint_add(const struct index_view *index, const struct key *key, uint32_t kind, uint32_t slot)
{
    assert(kind != HINT_HOT || slot < index->slots);
    assert(slot != HINT_NONE);
    struct hint_place place = hint_place_of(key, index->hint_mask);
    uint32_t at[2] = {0, 0};
    uint32_t free[2];
    for (int i = 0; i < 2; i++) {
        free[i] = count_free(&index->hints[place.bucket[i]], &at[i]);
    }
    if (free[0] == 0 && free[1] == 0) {
        return false;
    }
    /* The first bucket while it has room to spare: readers then need the second one rarely. Near
     * its end the emptier one, so that both being full stays as rare as if it always were. */
    int chosen = free[0] < HINT_SPARE && free[1] > free[0] ? 1 : 0;
    struct hint_bucket *bucket = &index->hints[place.bucket[chosen]];
    /* Relaxed: who follows the hint believes the descriptor alone. */
    shared64_store_relaxed(&bucket->word[at[chosen]], hint_word(place.tag, kind, slot));
    return true;
}

bool hint_remove(
    const struct index_view *index, const struct key *key, uint32_t kind, uint32_t slot)
{
    struct hint_place place = hint_place_of(key, index->hint_mask);
    uint64_t wanted = hint_word(place.tag, kind, slot);
    for (uint32_t at = 0; at < 16; at++) {
        struct hint_bucket *bucket = &index->hints[place.bucket[at / 8]];
        if (shared64_load_relaxed(&bucket->word[at % 8]) == wanted) {
            shared64_store_relaxed(&bucket->word[at % 8], 0);
            return true;
        }
    }
    return false;
}
