/* sleep: a client sends requests to a server that sleeps when there are none, with a bell that the
 * client rings at most once a sleep. The safety timeout is left out: without it all must be
 * handled. Interleavings only; the orders of memory are bell_server.c's matter.
 *
 *   -DNO_LOOK          broken: the server does not look at the ring after its announcement
 *   -DRUNG_FOR_EVER    broken: the client rings once, not once a sleep
 *   -DBELL_LATE        broken: the server hears the bell only after it looked at the ring
 */
#define SENT 4
#define SLEEP_MAX 20 /* sleep numbers do not come round here; see shm/README.md, decision 7 */

byte tail = 0;
byte head = 0;
byte sleeping = 0; /* a sleep number; odd: asleep */
byte rings = 0; /* what the eventfd counts */
byte heard = 0; /* rings that the server has seen */

active proctype client()
{
    byte last = 0;
    byte word;
    do
    :: tail < SENT ->
        tail++;
        word = sleeping;
        if
#ifdef RUNG_FOR_EVER
        :: word % 2 == 1 && last == 0 -> last = word; rings++
        :: word % 2 == 0 || last != 0 -> skip
#else
        :: word % 2 == 1 && word != last -> last = word; rings++
        :: word % 2 == 0 || word == last -> skip
#endif
        fi
    :: tail == SENT -> break
    od
}

active proctype server()
{
    byte seen;
    do
    :: head == SENT -> break
    :: head < tail -> head++
    :: head < SENT && sleeping < SLEEP_MAX -> /* polled long enough: go to sleep */
#ifdef BELL_LATE
        heard = rings; /* rings that came before this are forgotten, for whatever sleep they were */
        sleeping++;
        seen = tail;
        heard = rings;
#else
        heard = rings;
        sleeping++;
        seen = tail;
#endif
#ifdef NO_LOOK
        rings > heard;
#else
        if
        :: seen != head -> skip
        :: seen == head -> rings > heard
        fi;
#endif
        sleeping++
    od
}

active proctype rest()
{
    timeout;
    assert(head == SENT)
}
