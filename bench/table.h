/* table: what a scenario prints for people: goal, measured, floor, ratio. */
#ifndef CISTERN_BENCH_TABLE_H
#define CISTERN_BENCH_TABLE_H

#include <stdio.h>

#define TABLE_COLUMNS 5
#define TABLE_ROWS_MAX 48
#define TABLE_CELL_BYTES 96

/* Rows are kept until they are printed, so that columns can be aligned. */
struct table {
    char cells[TABLE_ROWS_MAX][TABLE_COLUMNS][TABLE_CELL_BYTES];
    int rows;
};

/* Start with the headings "what, goal, measured, <floor>, ratio"; `floor` names the baseline. */
void table_start(struct table *out_table, const char *what, const char *floor);

/* Start with headings of the caller's; NULL ends them early. */
void table_start_columns(struct table *out_table, const char *const headings[TABLE_COLUMNS]);

/* Add a row, and set its cells by format; a cell that was not set prints empty. */
void table_row(struct table *table);
void table_cell(struct table *table, int column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One row with goal and floor in one unit. `goal` is a text; a `floor` of 0 leaves floor and
 * ratio out. */
void table_measure(struct table *table, const char *what, const char *goal, const char *unit,
    double measured, double floor);

void table_print(const struct table *table, FILE *to);

#endif
