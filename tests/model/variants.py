"""variants: every broken form of the two orderings, as edits of the shipped sources.

A variant is a list of edits (file, function, old text, new text). The old text must stand in that
function exactly once, or the run fails: so a variant cannot outlive the line that it breaks. A file
without a folder is a model of this folder; an empty function means the whole file.
"""

PIN, SLOT, RING, BELL, LANE = "shm/pin.h", "shm/slot.h", "shm/ring.h", "shm/bell.h", "shm/lane.h"
PIN_C, SLOT_C, HINT = "shm/pin.c", "shm/slot.c", "shm/hint.h"

SEQ_STORE = "atomic_store_explicit(%s, %s, memory_order_seq_cst)"
SEQ_LOAD = "atomic_load_explicit(%s, memory_order_seq_cst)"

# What a model needs before anything else: smaller constants than the shipped ones.
ALWAYS = {
    "pin_high": [(PIN, "", "PIN_HIGH_KEPT 64u", "PIN_HIGH_KEPT 0u")],
    "pin_high_foreign": [(PIN, "", "PIN_HIGH_KEPT 64u", "PIN_HIGH_KEPT 0u")],
    "touch": [(LANE, "", "LANE_TOUCHES 8192u", "LANE_TOUCHES 2u")],
}

# The four accesses of ordering 2, and the mark that bounds the sweep.
R2 = (PIN, "pin_take", "shared32_store_release(&seat->records[record], slot + 1)")
R2_HIGH = (PIN, "pin_take", "shared32_store_release(seat->high_word, seat->high)")
R4 = (SLOT, "slot_load_state", "shared64_load_acquire(&line->state)")
V2 = (SLOT_C, "slot_mark",
      "shared64_store_relaxed(&line->state, slot_word(slot_generation_of(word), SLOT_EVICTING))")
V4 = (PIN_C, "pin_sweep", "shared32_load_acquire(high_word)")
V5 = (PIN_C, "pin_sweep", "shared32_load_acquire(&records[i])")

READER_FENCE = ("world.h", "pin", "    pin_fence();\n", "")
SERVER_FENCE = ("world.h", "retire", "    pin_fence();\n", "")
SEQ_READER = [
    R2 + (SEQ_STORE % ("&seat->records[record]", "slot + 1"),),
    R2_HIGH + (SEQ_STORE % ("seat->high_word", "seat->high"),),
    R4 + (SEQ_LOAD % "&line->state",),
    READER_FENCE,
]
SEQ_SERVER = [
    V2 + (SEQ_STORE % ("&line->state", "slot_word(slot_generation_of(word), SLOT_EVICTING)"),),
    V4 + (SEQ_LOAD % "high_word",),
    V5 + (SEQ_LOAD % "&records[i]",),
    SERVER_FENCE,
]
SEQ_ALL = SEQ_READER + SEQ_SERVER


def seq_but(step, new):
    """The form without fences, one of its accesses weakened."""
    return [edit for edit in SEQ_ALL if edit[:3] != step] + [step + (new,)]


VARIANTS = {
    # The shipped form, its ThreadSanitizer form (see TSAN below), and mixtures of the two.
    "as-written": [],
    "tsan": [],
    "mixed-reader": SEQ_READER,
    "mixed-server": SEQ_SERVER,
    # A record takes its next slot without a clear between: right, and therefore not a broken form.
    "overwrite": [
        ("pin.c", "reader", "    hit(&seats[0].pins, 1);\n    hit(&seats[0].pins, 2);\n",
         "    uint32_t record = pin(&seats[0].pins, 0, 1);\n"
         "    if (record != NO_RECORD) {\n        read_block(0, 1);\n"
         "        shared32_store_release(&seats[0].records[0], 2);\n        pin_fence();\n"
         "        if (validate(1, 2, EPOCH)) {\n            read_block(1, 2);\n        }\n"
         "        pin_drop(&seats[0].pins, record);\n    }\n"),
    ],
    # Ordering 2.
    "reader-fence-gone": [READER_FENCE],
    "server-fence-gone": [SERVER_FENCE],
    "batch-reader-fence-gone": [("pin_batch.c", "reader", "    pin_fence();\n", "")],
    "retry-fence-gone": [("pin_retry.c", "reader", "    pin_fence();\n", "")],
    "retry-record-dropped": [
        ("pin_retry.c", "reader", "    if (!valid) {\n",
         "    if (!valid) {\n        pin_drop_foreign(&seats[0].records[record]);\n")],
    "reader-fence-early": [
        READER_FENCE, ("world.h", "pin", "    uint32_t record;\n",
                       "    uint32_t record;\n    pin_fence();\n")],
    "seq-R2-release": seq_but(R2, R2[2]),
    "seq-R4-acquire": seq_but(R4, R4[2]),
    "seq-V2-release": seq_but(V2, V2[2].replace("relaxed", "release")),
    "seq-V5-acquire": seq_but(V5, V5[2]),
    "R2-relaxed": [R2 + (R2[2].replace("release", "relaxed"),)],
    "R4-relaxed": [R4 + (R4[2].replace("acquire", "relaxed"),)],
    "V5-relaxed": [V5 + (V5[2].replace("acquire", "relaxed"),)],
    "R8-relaxed": [(PIN, "pin_drop", "shared32_store_release(&seat->records[record], 0)",
                    "shared32_store_relaxed(&seat->records[record], 0)")],
    "V9-relaxed": [(SLOT_C, "slot_publish",
                    "shared64_store_release(&line->state", "shared64_store_relaxed(&line->state")],
    "V6-relaxed": [(SLOT_C, "slot_unmark",
                    "shared64_store_release(&line->state", "shared64_store_relaxed(&line->state")],
    "key-not-compared": [("world.h", "validate",
                          "!slot_holds(&lines[slot], &key, SPACE)", "key.word[0] != number")],
    "state-not-compared": [("world.h", "validate", "!= SLOT_VALID", "> SLOT_EVICTING")],
    "high-after-fence": [
        R2_HIGH + ("(void)0",),
        ("world.h", "pin", "    pin_fence();\n",
         "    pin_fence();\n    shared32_store_release(seat->high_word, seat->high);\n")],
    "V4-relaxed": [V4 + (V4[2].replace("acquire", "relaxed"),)],
    "high-lowered-relaxed": [(PIN_C, "pin_lower", "shared32_store_release(seat->high_word, high)",
                              "shared32_store_relaxed(seat->high_word, high)")],
    "seats-read-before-fence": [
        ("pin_seats.c", "server", "    uint32_t used = shared32_load_acquire(&seats_used);\n", ""),
        ("pin_seats.c", "server", "    pin_fence();\n",
         "    uint32_t used = shared32_load_acquire(&seats_used);\n    pin_fence();\n")],
    "seats-raised-after-pin": [
        ("pin_seats.c", "reader", "    shared32_store_release(&seats_used, 1);\n", ""),
        ("pin_seats.c", "reader", "    return unused;\n",
         "    shared32_store_release(&seats_used, 1);\n    return unused;\n")],
    # A record cleared by another thread.
    "foreign-drop-relaxed": [(PIN, "pin_drop_foreign", "shared32_store_release(record, 0)",
                              "shared32_store_relaxed(record, 0)")],
    "find-relaxed": [(PIN_C, "pin_find",
                      "    for (uint32_t i = 0; i < seat->high; i++) {\n"
                      "        uint32_t record = start + i < seat->high ? start + i : "
                      "start + i - seat->high;\n"
                      "        if (shared32_load_acquire",
                      "    for (uint32_t i = 0; i < seat->high; i++) {\n"
                      "        uint32_t record = start + i < seat->high ? start + i : "
                      "start + i - seat->high;\n"
                      "        if (shared32_load_relaxed")],
    "take-look-relaxed": [(PIN, "pin_take", "shared32_load_acquire(&seat->records[record]) != 0",
                           "shared32_load_relaxed(&seat->records[record]) != 0")],
    "lower-look-relaxed": [(PIN_C, "pin_lower",
                            "shared32_load_acquire(&seat->records[high - 1])",
                            "shared32_load_relaxed(&seat->records[high - 1])")],
    # A pin that moves.
    "moved-unvalidated": [("pin_again.c", "reader",
                           "    pin_fence();\n    bool valid = validate(0, 1, EPOCH);\n",
                           "    bool valid = true;\n")],
    # A LOADING slot that is pinned for its first bytes.
    "part-reader-fence-gone": [("pin_part.c", "reader", "    pin_fence();\n", "")],
    "part-server-fence-gone": [("pin_part.c", "server", "    pin_fence();\n", "")],
    "part-not-withdrawn": [("pin_part.c", "server", "    slot_withdraw(&lines[0]);\n", "")],
    "part-generation-not-compared": [
        ("pin_part.c", "reader", "slot_load_state(&lines[0]) == slot_word(loading, SLOT_LOADING)",
         "slot_state_of(slot_load_state(&lines[0])) == SLOT_LOADING")],
    "part-not-swept": [("pin_part.c", "server",
                        "    (void)pin_sweep(&seats[0].high, seats[0].records, "
                        "seats[0].pins.count, marks, SLOTS);\n", "")],
    "part-told-relaxed": [("pin_part.c", "server", "shared32_store_release(&told, 1)",
                           "shared32_store_relaxed(&told, 1)")],
    # Ordering 1.
    "publish-fence-gone": [(SLOT_C, "slot_publish", "    shared_fence_release();\n", "")],
    "both-writer-fences-gone": [
        (SLOT_C, "slot_publish", "    shared_fence_release();\n", ""), SERVER_FENCE],
    "snapshot-fence-gone": [(SLOT_C, "slot_snapshot", "    shared_fence_acquire();\n", "")],
    "snapshot-load-for-fence": [
        (SLOT_C, "slot_snapshot", "    shared_fence_acquire();\n", ""),
        (SLOT_C, "slot_snapshot", "shared64_load_relaxed(&line->state)", "slot_load_state(line)")],
    "snapshot-no-second-look": [(SLOT_C, "slot_snapshot",
                                 "shared64_load_relaxed(&line->state) != before", "before == 0")],
    "snapshot-state-not-looked-at": [
        (SLOT_C, "slot_snapshot", "slot_state_of(before) != SLOT_VALID", "before == 0"),
        (SLOT_C, "slot_snapshot", "shared64_load_relaxed(&line->state) != before", "before == 0")],
    "tail-relaxed": [(RING, "ring_publish", "shared32_store_release", "shared32_store_relaxed")],
    "tail-load-relaxed": [(RING, "ring_look", "shared32_load_acquire", "shared32_load_relaxed")],
    "head-relaxed": [(RING, "ring_return", "shared32_store_release", "shared32_store_relaxed")],
    "head-load-relaxed": [(RING, "ring_room", "shared32_load_acquire", "shared32_load_relaxed")],
    "room-not-asked": [("ring.c", "writer", "ring_room(&ring, 1) == 0", "ring.count == 0")],
    # Bells.
    "sleeper-fence-gone": [(BELL, "bell_announce", "    shared_fence_full();\n", "")],
    "waker-fence-gone": [(BELL, "bell_look", "    shared_fence_full();\n", "")],
    "last-look-not-believed": [
        ("bell_client.c", "client", "ring_look(&ring) == RING_EMPTY",
         "ring_look(&ring) != RING_WILD")],
    "drain-fence-gone": [("bell_event.c", "take_events", "        shared_fence_full();\n", "")],
    "signals-taken-last": [
        ("bell_event.c", "client", "        take_signals();\n        take_events(&ring);\n",
         "        take_events(&ring);\n        take_signals();\n")],
    "rung-once-for-ever": [
        ("bell_server.c", "client", "sleep != last", "last == 0")],
    # Epochs.
    "epoch-not-compared": [("world.h", "validate", "load_relaxed(&header.epoch) == attached",
                            "load_relaxed(&header.epoch) >= attached")],
    "epoch-read-again": [
        ("world.h", "pin", "    uint32_t record;\n",
         "    uint32_t record;\n    uint64_t now = shared64_load_relaxed(&header.epoch);\n"),
        ("world.h", "pin", "validate(slot, number, EPOCH)", "validate(slot, number, now)")],
    "successor-fence-gone": [("epoch.c", "successor", "    pin_fence();\n", "")],
    "epoch-not-raised": [("epoch.c", "successor",
                          "    shared64_store_relaxed(&header.epoch, EPOCH + 1);\n", "")],
    "leftover-trusted": [
        ("adopt.c", "servers", "    pin_fence();\n", ""),
        ("adopt.c", "servers",
         "    (void)pin_sweep(&seats[0].high, seats[0].records, 1, marks, SLOTS);\n", "")],
    # Touches.
    "touch-tail-relaxed": [(LANE, "lane_touch_publish",
                            "shared32_store_release", "shared32_store_relaxed")],
}

# Variants that are compiled as a ThreadSanitizer build is.
TSAN = {"tsan"}
