/* life: when may a slot that a client holds be used again? The client holds a grant (it writes the
 * slot) and a pin (it reads another slot); a device may write the granted slot later, even after
 * the client is gone. The socket may hang up while the client lives on; the pidfd speaks only at
 * its death.
 *
 *   -DON_HANGUP    broken: the server uses the slots again at the hang-up
 *   -DNO_QUARANTINE broken: at the pidfd, without waiting for the device
 *   -DEARLY_GOODBYE broken: the client says goodbye and still reads
 *   none           at the goodbye or the pidfd; the granted slot after its quarantine
 */
bool alive = true;
bool connected = true;
bool goodbye = false;
bool device_writes = false;
bool grant_reused = false; /* the granted slot belongs to somebody else now */
bool pin_reused = false; /* so does the pinned one */

active proctype client()
{
    byte steps = 0;
    do
    :: steps < 4 -> steps++;
        if
        :: !goodbye -> assert(!grant_reused) /* writes with the CPU */
        :: !goodbye -> assert(!pin_reused) /* reads in place */
        :: !goodbye && connected -> device_writes = true /* starts a copy on its device */
        :: connected = false /* loses its socket, and does not notice */
#ifdef EARLY_GOODBYE
        :: connected -> goodbye = true; assert(!pin_reused)
#else
        :: connected && !goodbye -> goodbye = true /* unmapped, so it can do nothing more */
#endif
        fi
    :: alive = false; connected = false; break
    od
}

active proctype device()
{
    do
    :: device_writes -> assert(!grant_reused); device_writes = false
    :: !alive && !device_writes -> break
    od
}

active proctype server()
{
#ifdef ON_HANGUP
    !connected || goodbye;
#else
    !alive || goodbye;
#endif
    pin_reused = true;
#ifdef NO_QUARANTINE
    grant_reused = true;
#else
    /* Quarantine: until no late write is possible. */
    !device_writes;
    grant_reused = true;
#endif
}

/* Nothing leaks: when all has come to rest, both slots were given back. */
active proctype rest()
{
    timeout;
    assert(!alive && grant_reused && pin_reused)
}
