/* trace_choice: which trace is replayed when nobody names one. */
#ifndef CISTERN_BENCH_TRACE_CHOICE_H
#define CISTERN_BENCH_TRACE_CHOICE_H

/* `given`, else $CISTERN_TRACES, else the public traces beside the repository, else our own small
 * one. */
const char *trace_choice(const char *given);

#endif
