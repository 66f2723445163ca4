/* place: see place.h. */
#include "tests/conform/place.h"

#include "tests/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void place_write_key(const struct conform_place *place, char digit)
{
    char digits[64];
    memset(digits, digit, sizeof digits);
    int file = open(place->key_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0 && write(file, digits, sizeof digits) == (ssize_t)sizeof digits);
    (void)close(file);
}

void place_open(struct conform_place *out_place)
{
    const char *parent = getenv("TMPDIR");
    char path[sizeof out_place->path];
    (void)snprintf(path, sizeof path, "%.90s/cistern-conform-XXXXXX",
        parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
    memcpy(out_place->path, path, sizeof path);
    for (int i = 0; i < 2; i++) {
        char *directory = out_place->directory[i];
        (void)snprintf(directory, sizeof out_place->directory[i], "%s/%d", path, i);
        assert_int_equal(mkdir(directory, 0700), 0);
    }
    (void)snprintf(out_place->key_file, sizeof out_place->key_file, "%s/key", path);
    place_write_key(out_place, 'a');
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

void place_close(const struct conform_place *place)
{
    (void)nftw(place->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
