/* status: names, meanings and advice of the status table. For whoever shows one to a person. */
#include "shm/status.h"

#include <stddef.h>

struct row {
    int number;
    const char *name;
    const char *meaning;
    const char *advice;
};

static const struct row rows[] = {
#define STATUS(name, number, meaning, advice) {number, "CISTERN_" #name, meaning, advice},
#include "shm/status.def"
#undef STATUS
};

static const struct row *find(int status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].number == status) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *status_name(int status)
{
    const struct row *row = find(status);
    return row == NULL ? "unknown status" : row->name;
}

const char *status_meaning(int status)
{
    const struct row *row = find(status);
    return row == NULL ? "a status that this version does not know" : row->meaning;
}

const char *status_advice(int status)
{
    const struct row *row = find(status);
    return row == NULL ? "upgrade the older of library and sidecar" : row->advice;
}
