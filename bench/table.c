/* table: aligns by characters, not bytes, because units such as µs take two bytes. */
#include "bench/table.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

void table_start_columns(struct table *out_table, const char *const headings[TABLE_COLUMNS])
{
    memset(out_table, 0, sizeof *out_table);
    table_row(out_table);
    for (int column = 0; column < TABLE_COLUMNS && headings[column] != NULL; column++) {
        table_cell(out_table, column, "%s", headings[column]);
    }
}

void table_start(struct table *out_table, const char *what, const char *floor)
{
    const char *headings[TABLE_COLUMNS] = {what, "goal", "measured", floor, "ratio"};
    table_start_columns(out_table, headings);
}

void table_row(struct table *table)
{
    assert(table->rows < TABLE_ROWS_MAX);
    table->rows++;
}

void table_cell(struct table *table, int column, const char *format, ...)
{
    assert(table->rows > 0 && column >= 0 && column < TABLE_COLUMNS);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(table->cells[table->rows - 1][column], TABLE_CELL_BYTES, format, arguments);
    va_end(arguments);
}

void table_measure(struct table *table, const char *what, const char *goal, const char *unit,
    double measured, double floor)
{
    table_row(table);
    table_cell(table, 0, "%s", what);
    table_cell(table, 1, "%s", goal);
    table_cell(table, 2, measured < 10 ? "%.2f %s" : "%.1f %s", measured, unit);
    if (floor > 0) {
        table_cell(table, 3, floor < 10 ? "%.2f %s" : "%.1f %s", floor, unit);
        table_cell(table, 4, "%.2f", measured / floor);
    }
}

static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

void table_print(const struct table *table, FILE *to)
{
    int widths[TABLE_COLUMNS] = {0};
    for (int row = 0; row < table->rows; row++) {
        for (int column = 0; column < TABLE_COLUMNS; column++) {
            int width = width_of(table->cells[row][column]);
            widths[column] = width > widths[column] ? width : widths[column];
        }
    }
    for (int row = 0; row < table->rows; row++) {
        for (int column = 0; column < TABLE_COLUMNS && widths[column] > 0; column++) {
            const char *cell = table->cells[row][column];
            int gap = widths[column] - width_of(cell);
            /* The first column is words, the others are figures. */
            if (column == 0) {
                fprintf(to, "  %s%*s", cell, gap, "");
            } else {
                fprintf(to, "  %*s%s", gap, "", cell);
            }
        }
        fputc('\n', to);
        for (int column = 0; row == 0 && column < TABLE_COLUMNS && widths[column] > 0; column++) {
            fputs("  ", to);
            for (int i = 0; i < widths[column]; i++) {
                fputs("─", to);
            }
        }
        if (row == 0) {
            fputc('\n', to);
        }
    }
}
