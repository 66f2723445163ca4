/* binding_event: waiting, answers that come later, and what was counted. See binding.h. */
#include "libclient/python/argument.h"
#include "libclient/python/binding.h"
#include "libclient/python/failure.h"

#define EVENTS 64

/* Wait for another worker's block; with a cookie, later. */
static PyObject *wait_for(PyObject *handle, PyObject *arguments, bool later)
{
    PyObject *key_object;
    struct cistern_key key;
    long long timeout_ns;
    unsigned long long cookie = 0;
    if (!PyArg_ParseTuple(arguments, "OL|K:wait", &key_object, &timeout_ns, &cookie) ||
        !argument_key(key_object, &key)) {
        return NULL;
    }
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        later ? cistern_wait_async(anchor->handle, &key, timeout_ns, cookie)
              : cistern_wait(anchor->handle, &key, timeout_ns);
    Py_END_ALLOW_THREADS return binding_answer(handle, anchor, status);
}

PyObject *binding_wait(PyObject *handle, PyObject *arguments)
{
    return wait_for(handle, arguments, false);
}

PyObject *binding_wait_async(PyObject *handle, PyObject *arguments)
{
    return wait_for(handle, arguments, true);
}

PyObject *binding_fetch_async(PyObject *handle, PyObject *arguments)
{
    PyObject *keys_object;
    struct argument_keys keys;
    long long timeout_ns;
    unsigned long long cookie;
    if (!PyArg_ParseTuple(arguments, "OLK:fetch_async", &keys_object, &timeout_ns, &cookie) ||
        !argument_take_keys(keys_object, &keys)) {
        return NULL;
    }
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        PyBuffer_Release(&keys.buffer);
        return NULL;
    }
    int status;
    Py_BEGIN_ALLOW_THREADS status =
        cistern_fetch_async(anchor->handle, keys.first, keys.count, timeout_ns, cookie);
    Py_END_ALLOW_THREADS PyBuffer_Release(&keys.buffer);
    return binding_answer(handle, anchor, status);
}

PyObject *binding_fileno(PyObject *handle, PyObject *nothing)
{
    (void)nothing;
    struct cistern_event event;
    size_t count;
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    int number = cistern_fd(anchor->handle);
    if (number < 0) { /* in a forked child, which this call is told with all that goes with it */
        number = cistern_drain(anchor->handle, &event, 1, &count);
    }
    return binding_answer(handle, anchor, number);
}

PyObject *binding_drain(PyObject *handle, PyObject *nothing)
{
    (void)nothing;
    struct cistern_event events[EVENTS];
    size_t count = 0;
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    /* Python's lock is kept: one thread at a time may drain, and it waits for nobody. */
    int status = cistern_drain(anchor->handle, events, EVENTS, &count);
    PyObject *list = status < 0 ? failure_raise(handle, status) : PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *event = Py_BuildValue("(KiI)", (unsigned long long)events[i].cookie,
            (int)events[i].status, (unsigned int)events[i].hot);
        if (event == NULL || PyList_SetItem(list, (Py_ssize_t)i, event) != 0) {
            Py_DECREF(list);
            list = NULL;
        }
    }
    anchor_drop(anchor);
    return list;
}

PyObject *binding_stats(PyObject *handle, PyObject *nothing)
{
    (void)nothing;
    struct cistern_stats stats = {.size = sizeof stats};
    struct anchor *anchor = binding_enter(handle);
    if (anchor == NULL) {
        return NULL;
    }
    int status = cistern_stats(anchor->handle, &stats);
    PyObject *result =
        status < 0 ? failure_raise(handle, status)
                   : Py_BuildValue("{s:I,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:I,s:I}",
                         "attached", stats.attached, "hits", stats.hits, "misses", stats.misses,
                         "retries", stats.retries, "violations", stats.violations,
                         "checksum_failures", stats.checksum_failures, "commits", stats.commits,
                         "aborts", stats.aborts, "grant_waits", stats.grant_waits, "bells",
                         stats.bells, "reattaches", stats.reattaches, "pins_per_thread",
                         stats.pins_per_thread, "device", stats.device);
    anchor_drop(anchor);
    return result;
}
