#include "service.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char HEADER[] = "name,crs,lat,long,terminal,operator,minutes,fare";
enum { COLUMNS = 8 };

static const double EARTH_RADIUS_KM = 6371.0;

static double radians(double degrees) { return degrees * (M_PI / 180.0); }

uint32_t km_from_charing_cross(double lat, double lon) {
    const double from_lat = radians(51.5074), from_lon = radians(-0.1278);
    lat = radians(lat);
    lon = radians(lon);
    double across = sin((lat - from_lat) / 2.0), along = sin((lon - from_lon) / 2.0);
    double share = across * across + cos(from_lat) * cos(lat) * (along * along);
    return (uint32_t)round(2.0 * EARTH_RADIUS_KM * asin(sqrt(fmin(fmax(share, 0.0), 1.0))));
}

// Cuts off the part of `rest` before the next `end`, or all of it. `rest` becomes the remainder.
static struct text cut(struct text *rest, char end) {
    const char *at = rest->len ? memchr(rest->at, end, rest->len) : NULL;
    struct text piece = {rest->at, at ? (size_t)(at - rest->at) : rest->len};
    size_t taken = piece.len + (at ? 1 : 0);
    rest->at += taken;
    rest->len -= taken;
    return piece;
}

static bool next_line(struct table *table, struct text *line) {
    do {
        if (table->rest.len == 0) return false;
        const char *end = table->rest.at + table->rest.len;
        *line = cut(&table->rest, '\n');
        bool is_ended = line->at + line->len < end;
        if (is_ended && line->len && line->at[line->len - 1] == '\r') line->len--;
        table->line++;
    } while (line->len && line->at[0] == '#');
    return true;
}

static size_t digits(struct text text, size_t from) {
    size_t i = from;
    while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9') i++;
    return i - from;
}

static size_t sign(struct text text, size_t from) {
    return from < text.len && (text.at[from] == '+' || text.at[from] == '-') ? 1 : 0;
}

// strtod alone would also accept spaces, hexadecimal digits and names such as `inf`.
static bool is_decimal(struct text text) {
    size_t i = sign(text, 0), whole = digits(text, i), part = 0;
    i += whole;
    if (i < text.len && text.at[i] == '.') {
        part = digits(text, i + 1);
        i += 1 + part;
    }
    if (whole + part == 0) return false;
    if (i < text.len && (text.at[i] == 'e' || text.at[i] == 'E')) {
        i += 1 + sign(text, i + 1);
        size_t power = digits(text, i);
        if (power == 0) return false;
        i += power;
    }
    return i == text.len;
}

static bool read_decimal(const char *name, struct text text, double *value, struct buffer *why) {
    char *ended = strndup(text.at, text.len);
    if (!ended) abort();
    *value = is_decimal(text) ? strtod(ended, NULL) : NAN;
    free(ended);
    if (isfinite(*value)) return true;
    buffer_format(why, "%s `%.*s` is not a number", name, SHOWN(text));
    return false;
}

static bool read_minutes(struct text text, uint64_t *value, struct buffer *why) {
    size_t plus = text.len && text.at[0] == '+' ? 1 : 0;
    if (text_to_u64((struct text){text.at + plus, text.len - plus}, UINT32_MAX, value)) return true;
    buffer_format(why, "minutes `%.*s` is not a number", SHOWN(text));
    return false;
}

// Parses a fare into pence. It is split at the point rather than parsed as a float, so that no fare
// is ever a penny off.
static bool read_pence(struct text text, uint64_t *value, struct buffer *why) {
    struct text pence = text, pounds = cut(&pence, '.');
    uint64_t whole, part;
    if (pence.len == 2 && text_to_u64(pounds, UINT32_MAX, &whole) && text_to_u64(pence, 99, &part)) {
        *value = whole * 100 + part;
        if (*value <= UINT32_MAX) return true;
    }
    buffer_format(why, "fare `%.*s` is not pounds and pence such as 12.50", SHOWN(text));
    return false;
}

// Fields contain no commas and no quotes, so a line is split at every comma.
static bool read_service(struct text line, struct service *service, struct buffer *why) {
    struct text fields[COLUMNS], rest = line;
    size_t count = 1;
    for (size_t i = 0; i < line.len; i++) count += line.at[i] == ',';
    if (count != COLUMNS) {
        buffer_format(why, "%zu fields where there should be %d", count, COLUMNS);
        return false;
    }
    for (int i = 0; i < COLUMNS; i++) fields[i] = cut(&rest, ',');
    service->station = fields[0];
    service->crs = fields[1];
    service->terminal = fields[4];
    service->operator = fields[5];
    return read_decimal("lat", fields[2], &service->lat, why) && read_decimal("long", fields[3], &service->lon, why) &&
           read_minutes(fields[6], &service->minutes, why) && read_pence(fields[7], &service->pence, why);
}

static bool read_header(struct table *table, struct buffer *why) {
    struct text line;
    table->begun = true;
    if (!next_line(table, &line)) {
        buffer_format(why, "the table has no header `%s`", HEADER);
        return false;
    }
    if (text_is(line, HEADER)) return true;
    buffer_format(why, "line %zu: `%.*s` is not the header `%s`", table->line, SHOWN(line), HEADER);
    return false;
}

enum row table_next(struct table *table, struct service *service, struct buffer *why) {
    struct text line;
    if (!table->begun && !read_header(table, why)) return ROW_WRONG;
    if (!next_line(table, &line)) return ROW_NONE;
    struct buffer reason = {0};
    bool is_read = read_service(line, service, &reason);
    if (!is_read) buffer_format(why, "line %zu: %.*s", table->line, SHOWN(reason));
    free(reason.at);
    return is_read ? ROW_READ : ROW_WRONG;
}
