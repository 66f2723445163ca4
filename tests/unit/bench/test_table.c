/* test_table: columns line up by characters, and a ratio is measured over floor. */
#include "bench/table.h"

#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const struct table *table, char *out_text, size_t room)
{
    FILE *file = fmemopen(out_text, room, "w");
    assert_non_null(file);
    table_print(table, file);
    fclose(file);
}

static void figures_line_up_whatever_their_bytes(void **state)
{
    (void)state;
    char text[1024] = "";
    struct table table;
    const char *columns[TABLE_COLUMNS] = {"what", "figure"};
    table_start_columns(&table, columns);
    table_row(&table);
    table_cell(&table, 0, "a");
    table_cell(&table, 1, "1.0 µs");
    table_row(&table);
    table_cell(&table, 0, "b");
    table_cell(&table, 1, "1.0 ns");
    print(&table, text, sizeof text);
    const char *micro = strstr(text, "\n  a");
    const char *nano = strstr(text, "\n  b");
    assert_non_null(micro);
    assert_non_null(nano);
    /* As many characters: the second byte of the µ here, the newline at the end there. */
    assert_int_equal(nano - micro, strlen(nano));
}

static void a_ratio_is_measured_over_floor(void **state)
{
    (void)state;
    struct table table;
    table_start(&table, "what", "floor");
    table_measure(&table, "x", "≤ 2", "ns", 30, 20);
    assert_string_equal(table.cells[1][2], "30.0 ns");
    assert_string_equal(table.cells[1][4], "1.50");
    table_measure(&table, "y", "", "ns", 3, 0);
    assert_string_equal(table.cells[2][2], "3.00 ns");
    assert_string_equal(table.cells[2][3], "");
    assert_string_equal(table.cells[2][4], "");
}

static void long_cells_are_cut_not_overrun(void **state)
{
    (void)state;
    struct table table;
    char word[300];
    memset(word, 'w', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    table_start(&table, "what", "floor");
    table_row(&table);
    table_cell(&table, 0, "%s", word);
    assert_int_equal(strlen(table.cells[1][0]), TABLE_CELL_BYTES - 1);
    assert_string_equal(table.cells[1][1], "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_line_up_whatever_their_bytes),
        cmocka_unit_test(a_ratio_is_measured_over_floor),
        cmocka_unit_test(long_cells_are_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
