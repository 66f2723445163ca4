/* why: cistern_why() and the public face of the status table.
 *
 * The text lies in memory of the thread, freed when it exits; thread-local storage of the
 * library is kept to a few words, because all of it must fit where the linker put the fast part
 * (decision 3). */
#include "libclient/why.h"

#include "libclient/include/cistern.h"
#include "shm/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_ROOM 768u

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made; /* written once, under key_once */

static void make_key(void)
{
    key_made = pthread_key_create(&key, free) == 0;
}

/* The thread's text, or NULL. */
static char *text_of_thread(void)
{
    (void)pthread_once(&key_once, make_key);
    if (!key_made) {
        return NULL;
    }
    char *text = pthread_getspecific(key);
    if (text == NULL) {
        text = calloc(1, TEXT_ROOM);
        if (text != NULL && pthread_setspecific(key, text) != 0) {
            free(text);
            text = NULL;
        }
    }
    return text;
}

int why_failed(int status, const char *format, ...)
{
    char *text = text_of_thread();
    if (text != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, TEXT_ROOM, format, arguments);
        va_end(arguments);
    }
    return status;
}

const char *cistern_why(void)
{
    const char *text = text_of_thread();
    return text == NULL ? "" : text;
}

const char *cistern_status_name(int status)
{
    return status_name(status);
}

const char *cistern_status_meaning(int status)
{
    return status_meaning(status);
}

const char *cistern_status_advice(int status)
{
    return status_advice(status);
}
