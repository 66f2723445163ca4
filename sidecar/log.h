/* log: one line a decision: time, level, module, what happened with units, the remedy.
 *
 * Owned by whoever owns the server; called by everything in sidecar/, on the server's thread alone.
 * Always: a line is printable ASCII whatever a client wrote into it, a call never waits for the
 * reader of the log, and nothing disappears uncounted. Never tokens, secrets or KV bytes.
 */
#ifndef CISTERN_SIDECAR_LOG_H
#define CISTERN_SIDECAR_LOG_H

#include <stdarg.h>
#include <stdint.h>

#define LOG_LINE_BYTES 1024u /* longer lines are cut, and say so */
#define LOG_FORMATS 32u /* formats whose rate is watched at one time */
#define LOG_BURST 20u /* lines of one format in one window; errors, warnings and info only */
#define LOG_WINDOW_NS UINT64_C(5000000000)

enum log_level {
    LOG_ERROR, /* a person must act */
    LOG_WARN, /* we went on, worse */
    LOG_INFO, /* start, stop, attach, leave */
    LOG_DEBUG /* one operation; never rate-limited */
};

/* How often one format was used in its window. */
struct log_rate {
    const char *format; /* the address is the identity; NULL: free */
    const char *module;
    enum log_level level;
    uint32_t lines;
    uint64_t left_out;
    uint64_t since_ns;
};

struct log {
    int fd; /* borrowed */
    enum log_level level; /* may be changed at any time */
    uint64_t
        lost; /* lines that the reader of the log was too slow for, since the last one that went */
    struct log_rate rate[LOG_FORMATS];
};

void log_init(struct log *log, int fd, enum log_level level);

/* Write one line. `module` and `format` are constants of the program. Never blocks: if the reader
 * of the log is slow, the line is counted and the next one says so. */
__attribute__((format(printf, 4, 5))) void log_line(
    struct log *log, enum log_level level, const char *module, const char *format, ...);

/* Say what was left out by formats whose window is over. Called now and then, as once a second. */
void log_settle(struct log *log);

/* Say everything that was left out. The descriptor stays the caller's. */
void log_fini(struct log *log);

#endif
