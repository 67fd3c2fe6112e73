#include "query.h"

#include <stdlib.h>

enum { FROM, BUDGET, DEPART, ARRIVE_BY, STALL, FIELDS };
static const char *const NAMES[FIELDS] = {"from", "budget", "depart", "arrive-by", "stall"};

static bool two_digits(const char *at, uint64_t most, uint64_t *value) {
    return text_to_u64((struct text){at, 2}, most, value);
}

static bool clock_parse(const struct json_member *member, uint64_t *minutes, struct buffer *why) {
    struct text text = member->value;
    uint64_t hour, minute;
    if (member->kind == JSON_STRING && text.len == 5 && text.at[2] == ':' && two_digits(text.at, 23, &hour) &&
        two_digits(text.at + 3, 59, &minute)) {
        *minutes = hour * 60 + minute;
        return true;
    }
    buffer_format(why, "`%.*s` is not a time of day such as 09:00", SHOWN(text));
    return false;
}

static bool field_parse(struct query *query, int field, const struct json_member *member, struct buffer *why) {
    bool is_null = member->kind == JSON_NULL, is_string = member->kind == JSON_STRING;
    switch (field) {
    case FROM:
        if (is_string && text_is(member->value, "London")) return true;
        buffer_format(why, "unknown variant `%.*s`, expected `London`", SHOWN(member->value));
        return false;
    case BUDGET:
        if (member->kind == JSON_NUMBER && text_to_u64(member->value, UINT32_MAX, &query->budget)) return true;
        buffer_format(why, "budget `%.*s` is not a whole number of pounds", SHOWN(member->value));
        return false;
    case DEPART:
        return clock_parse(member, &query->depart, why);
    case ARRIVE_BY:
        query->has_arrive_by = !is_null;
        return is_null || clock_parse(member, &query->arrive_by, why);
    default:
        query->has_stall = is_string;
        if (is_string) buffer_bytes(&query->stall, member->value.at, member->value.len);
        else if (!is_null) buffer_format(why, "stall `%.*s` is not a string", SHOWN(member->value));
        return is_string || is_null;
    }
}

static bool fields_parse(struct query *query, struct json *json, bool seen[FIELDS], struct buffer *why) {
    struct json_member member;
    while (json_next(json, &member)) {
        int field = 0;
        while (field < FIELDS && !text_is(member.name, NAMES[field])) field++;
        if (field == FIELDS) {
            buffer_format(why, "unknown field `%.*s`", SHOWN(member.name));
            return false;
        }
        if (seen[field]) {
            buffer_format(why, "duplicate field `%s`", NAMES[field]);
            return false;
        }
        seen[field] = true;
        if (!field_parse(query, field, &member, why)) return false;
    }
    if (json->error) buffer_format(why, "%s, at byte %zu", json->error, json->next);
    return !json->error;
}

bool query_parse(struct query *query, const uint8_t *bytes, size_t len, struct buffer *why) {
    *query = (struct query){.depart = 9 * 60};
    bool seen[FIELDS] = {false};
    struct json json = json_of(bytes, len);
    bool is_read = fields_parse(query, &json, seen, why);
    json_free(&json);
    if (!is_read) return false;
    for (int field = FROM; field <= BUDGET; field++) {
        if (!seen[field]) {
            buffer_format(why, "missing field `%s`", NAMES[field]);
            return false;
        }
    }
    if (query->has_arrive_by && query->arrive_by <= query->depart) {
        buffer_format(why, "arrive-by is not later than depart");
        return false;
    }
    return true;
}

void query_free(struct query *query) { free(query->stall.at); }
