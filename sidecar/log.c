/* log: formats, escapes, counts and writes lines. See log.h for the rules. */
#include "sidecar/log.h"

#include <assert.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 768u /* before escaping */

static const char *const level_name[] = {"error", "warn", "info", "debug"};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void log_init(struct log *log, int fd, enum log_level level)
{
    assert(fd >= 0 && level <= LOG_DEBUG);
    memset(log, 0, sizeof *log);
    log->fd = fd;
    log->level = level;
}

/* Everything but printable ASCII becomes \xNN: what a client named itself must neither forge a line
 * nor steer a terminal. Returns how many bytes were written, at most `room`. */
static size_t escape(const char *text, size_t room, char *out)
{
    static const char digit[] = "0123456789abcdef";
    size_t used = 0;
    for (const char *byte = text; *byte != '\0'; byte++) {
        unsigned char value = (unsigned char)*byte;
        bool plain = value >= 0x20 && value < 0x7f && value != '\\';
        size_t need = plain ? 1 : value == '\\' ? 2 : 4;
        if (room - used < need) {
            break;
        }
        if (plain) {
            out[used] = *byte;
        } else if (value == '\\') {
            memcpy(out + used, "\\\\", 2);
        } else {
            out[used] = '\\';
            out[used + 1] = 'x';
            out[used + 2] = digit[value >> 4];
            out[used + 3] = digit[value & 15];
        }
        used += need;
    }
    return used;
}

/* Returns false if the reader of the log is not ready: a pipe that nobody empties must not stop the
 * server. */
static bool send_line(struct log *log, const char *line, size_t bytes)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
    /* POLLERR: nobody will ever read this pipe again, and writing would raise SIGPIPE. */
    if (poll(&ready, 1, 0) != 1 || (ready.revents & (POLLOUT | POLLERR)) != POLLOUT) {
        return false;
    }
    /* A line is shorter than PIPE_BUF, and a pipe that polls writable has that much room. */
    return write(log->fd, line, bytes) == (ssize_t)bytes;
}

static void emit(
    struct log *log, enum log_level level, const char *module, const char *message, bool cut)
{
    struct timespec wall;
    struct tm day;
    char line[LOG_LINE_BYTES];
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)gmtime_r(&wall.tv_sec, &day);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &day);
    int head = snprintf(line + used, sizeof line - used,
        ".%03ldZ %-5s %s: ", wall.tv_nsec / 1000000, level_name[level], module);
    assert(head > 0 && (size_t)head < 128);
    used += (size_t)head;
    char tail[64] = "";
    if (log->lost > 0) {
        (void)snprintf(
            tail, sizeof tail, " (%llu lines lost before this one)", (unsigned long long)log->lost);
    }
    size_t room = sizeof line - used - strlen(tail) - sizeof " ...\n";
    size_t escaped = escape(message, room, line + used);
    used += escaped;
    if (cut || escaped == room) {
        memcpy(line + used, " ...", 4);
        used += 4;
    }
    memcpy(line + used, tail, strlen(tail));
    used += strlen(tail);
    line[used++] = '\n';
    if (send_line(log, line, used)) {
        log->lost = 0;
    } else {
        log->lost++;
    }
}

/* Say how many lines like this one were left out, and begin a new window. */
static void settle(struct log *log, struct log_rate *rate, uint64_t now)
{
    if (rate->left_out > 0) {
        char message[MESSAGE_BYTES];
        (void)snprintf(message, sizeof message, "\"%.512s\" (repeated %llu times)", rate->format,
            (unsigned long long)rate->left_out);
        emit(log, rate->level, rate->module, message, false);
    }
    rate->left_out = 0;
    rate->lines = 0;
    rate->since_ns = now;
}

/* The entry that watches this format: its own, a free one, or the one that began first. */
static struct log_rate *find(struct log *log, const char *format, uint64_t now)
{
    struct log_rate *oldest = &log->rate[0];
    for (uint32_t i = 0; i < LOG_FORMATS; i++) {
        struct log_rate *rate = &log->rate[i];
        if (rate->format == format) {
            return rate;
        }
        if (oldest->format != NULL && (rate->format == NULL || rate->since_ns < oldest->since_ns)) {
            oldest = rate;
        }
    }
    if (oldest->format != NULL) {
        settle(log, oldest, now);
    }
    *oldest = (struct log_rate){.format = format, .since_ns = now};
    return oldest;
}

static bool may_speak(struct log *log, enum log_level level, const char *module, const char *format)
{
    if (level == LOG_DEBUG) {
        return true;
    }
    uint64_t now = now_ns();
    struct log_rate *rate = find(log, format, now);
    if (now - rate->since_ns >= LOG_WINDOW_NS) {
        settle(log, rate, now);
    }
    rate->level = level;
    rate->module = module;
    if (rate->lines >= LOG_BURST) {
        rate->left_out++;
        return false;
    }
    rate->lines++;
    return true;
}

void log_line(struct log *log, enum log_level level, const char *module, const char *format, ...)
{
    assert(level <= LOG_DEBUG && strlen(module) < 32);
    if (level > log->level || !may_speak(log, level, module, format)) {
        return;
    }
    char message[MESSAGE_BYTES];
    va_list values;
    va_start(values, format);
    int bytes = vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (bytes < 0) {
        message[0] = '\0';
    }
    emit(log, level, module, message, bytes >= (int)sizeof message);
}

void log_settle(struct log *log)
{
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < LOG_FORMATS; i++) {
        struct log_rate *rate = &log->rate[i];
        if (rate->format != NULL && now - rate->since_ns >= LOG_WINDOW_NS) {
            settle(log, rate, now);
            rate->format = NULL;
        }
    }
}

void log_fini(struct log *log)
{
    if (log == NULL) {
        return;
    }
    for (uint32_t i = 0; i < LOG_FORMATS; i++) {
        if (log->rate[i].format != NULL) {
            settle(log, &log->rate[i], 0);
            log->rate[i].format = NULL;
        }
    }
}
