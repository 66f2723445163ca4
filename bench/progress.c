/* progress: draws on the given stream only, and nothing twice. */
#include "bench/progress.h"

#include <unistd.h>

#define BAR_CELLS 40

void progress_start(struct progress *out_progress, FILE *to, const char *what, uint64_t total)
{
    *out_progress = (struct progress){
        .to = to,
        .what = what,
        .total = total == 0 ? 1 : total,
        .terminal = isatty(fileno(to)),
        .shown = -1,
    };
}

void progress_show(struct progress *progress, uint64_t done)
{
    int percent = (int)(done * 100 / progress->total);
    int step = progress->terminal ? 1 : 10;
    if (percent / step == progress->shown / step && progress->shown >= 0) {
        return;
    }
    progress->shown = percent;
    if (!progress->terminal) {
        fprintf(progress->to, "%3d %%  %llu of %llu %s\n", percent, (unsigned long long)done,
            (unsigned long long)progress->total, progress->what);
        fflush(progress->to);
        return;
    }
    fputs("\r  ", progress->to);
    for (int cell = 0; cell < BAR_CELLS; cell++) {
        fputs(cell * 100 < percent * BAR_CELLS ? "█" : "░", progress->to);
    }
    fprintf(progress->to, " %3d %%  %llu of %llu %s", percent, (unsigned long long)done,
        (unsigned long long)progress->total, progress->what);
    fflush(progress->to);
}

void progress_done(struct progress *progress)
{
    if (progress->terminal && progress->shown >= 0) {
        fputc('\n', progress->to);
    }
}
