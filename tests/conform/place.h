/* place: folders of a test's own, and a key file; gone afterwards. Used by conform. */
#ifndef CISTERN_TESTS_CONFORM_PLACE_H
#define CISTERN_TESTS_CONFORM_PLACE_H

struct conform_place {
    char path[128];
    char directory[2][160];
    char key_file[160];
};

void place_open(struct conform_place *out_place);
void place_close(const struct conform_place *place);

/* Another digit is another key. */
void place_write_key(const struct conform_place *place, char digit);

#endif
