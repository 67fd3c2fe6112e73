// The client's query.
#ifndef QUERY_H
#define QUERY_H

#include "json.h"

// A valid query. Times are minutes since midnight.
struct query {
    uint64_t budget;
    uint64_t depart;
    bool has_arrive_by;
    uint64_t arrive_by;
    bool has_stall;
    struct buffer stall;
};

// Parses a query as strictly as the leaf in Rust does. For an invalid query it returns false and
// appends the reason to `why`. The caller must free the query in either case.
bool query_parse(struct query *query, const uint8_t *bytes, size_t len, struct buffer *why);
void query_free(struct query *query);

#endif
