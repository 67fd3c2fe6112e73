// Parser of a region's table of services, line by line.
#ifndef SERVICE_H
#define SERVICE_H

#include "json.h"

// One line of a region's table: a direct train from a London terminal to a station. Its texts point
// into the table.
struct service {
    struct text station;
    struct text crs;
    double lat;
    double lon;
    struct text terminal;
    struct text operator;
    uint64_t minutes;
    uint64_t pence;
};

// State of a reader.
struct table {
    struct text rest;
    size_t line;
    bool begun;
};

enum row { ROW_READ, ROW_NONE, ROW_WRONG };

// Reads the next service of a table: a header, then one service on each line, with comment lines
// (`#`) anywhere. An error is appended to `why`, with the line.
enum row table_next(struct table *table, struct service *service, struct buffer *why);

// Returns the great-circle distance from Charing Cross in whole kilometres, by the haversine
// formula.
uint32_t km_from_charing_cross(double lat, double lon);

#endif
