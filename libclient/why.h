/* why: what the last failing call of a thread has to say, as text. Called by every public function
 * that fails. Always: the text belongs to the thread; without memory for it, the text is "". */
#ifndef CISTERN_LIBCLIENT_WHY_H
#define CISTERN_LIBCLIENT_WHY_H

/* Keep the sentence for cistern_why(). Returns `status`, so that a failing call is one line. */
__attribute__((format(printf, 2, 3))) int why_failed(int status, const char *format, ...);

#endif
