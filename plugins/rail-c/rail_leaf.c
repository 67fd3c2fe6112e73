// The leaf of examples/rail in C: which stations of one region have a direct train from London within a budget?
//
// It answers byte for byte as plugins/rail-leaf does, which says what the fields mean.

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin.h" // made by wit-bindgen from wit/
#include "query.h"
#include "service.h"

typedef exports_frond_plugin_process_partition_partition_t partition_t;
typedef exports_frond_plugin_process_partition_failure_t failure_t;

// Never returns. It sleeps rather than spins: a spinning leaf may run out of fuel before it runs out of time.
// By this clock, the only one by which wasi-libc sleeps: `sleep` would return at once.
static _Noreturn void stall(void) {
    const struct timespec hour = {.tv_sec = 3600};
    for (;;) clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL);
}

static bool fits(const struct query *query, const struct service *service) {
    bool in_time = !query->has_arrive_by || query->depart + service->minutes <= query->arrive_by;
    return service->pence <= query->budget * 100 && in_time;
}

static void put(struct buffer *to, const char *name, struct text value) {
    buffer_string(to, (struct text){name, strlen(name)});
    buffer_bytes(to, ":", 1);
    buffer_string(to, value);
    buffer_bytes(to, ",", 1);
}

static void put_destination(struct buffer *to, struct text region, const struct service *service) {
    buffer_format(to, "{");
    put(to, "station", service->station);
    put(to, "crs", service->crs);
    put(to, "region", region);
    put(to, "operator", service->operator);
    put(to, "terminal", service->terminal);
    buffer_format(to, "\"minutes\":%llu,\"pence\":%llu,\"km\":%lu}", (unsigned long long)service->minutes,
                  (unsigned long long)service->pence, (unsigned long)km_from_charing_cross(service->lat, service->lon));
}

// Appends the partial to `to`, or the reason why there is none to `why`.
static bool find(const struct query *query, struct text region, struct text table, struct buffer *to, struct buffer *why) {
    struct table rows = {.rest = table};
    struct service service;
    const char *between = "";
    enum row row;
    buffer_format(to, "{\"regions\":[");
    buffer_string(to, region);
    buffer_format(to, "],\"destinations\":[");
    while ((row = table_next(&rows, &service, why)) == ROW_READ) {
        if (!fits(query, &service)) continue;
        buffer_format(to, "%s", between);
        put_destination(to, region, &service);
        between = ",";
    }
    buffer_format(to, "]}");
    return row == ROW_NONE;
}

static bool answer(plugin_list_u8_t *asked, partition_t *partition, struct buffer *to, failure_t *failure) {
    struct buffer why = {0};
    struct query query;
    struct text region = {(const char *)partition->key.ptr, partition->key.len};
    bool is_found = false;
    failure->tag = FROND_PLUGIN_TYPES_FAILURE_INVALID_QUERY;
    if (query_parse(&query, asked->ptr, asked->len, &why)) {
        struct text stalled = {query.stall.at, query.stall.len};
        if (query.has_stall && text_same(stalled, region)) stall();
        failure->tag = FROND_PLUGIN_TYPES_FAILURE_INVALID_PARTITION;
        struct text table = {(const char *)partition->data.ptr, partition->data.len};
        if (text_is_utf8(table)) is_found = find(&query, region, table, to, &why);
        else buffer_format(&why, "partition %.*s is not text", SHOWN(region));
    }
    query_free(&query);
    // Every case of the failure holds one string.
    if (!is_found) plugin_string_dup_n(&failure->val.invalid_query, why.at, why.len);
    free(why.at);
    return is_found;
}

// What it is given is its own to free; what it returns, the runtime frees.
bool exports_frond_plugin_process_partition_process(plugin_list_u8_t *query, partition_t *partition,
                                                    plugin_list_u8_t *result, failure_t *failure) {
    struct buffer partial = {0};
    bool is_found = answer(query, partition, &partial, failure);
    if (is_found) *result = (plugin_list_u8_t){(uint8_t *)partial.at, partial.len};
    else free(partial.at);
    plugin_list_u8_free(query);
    exports_frond_plugin_process_partition_partition_free(partition);
    return is_found;
}
