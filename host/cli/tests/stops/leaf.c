// A leaf that ends as its query says, for the snapshots of what its author is then told.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h" // made by wit-bindgen from wit/

static volatile unsigned sink;

static void fail_assertion(void) {
    sink = 1;
    assert(sink == 2 && "rows are sorted");
}

static void call_null(void) {
    void (*volatile nothing)(void) = NULL;
    nothing();
}

static void divide(void) {
    volatile unsigned none = 0;
    sink = 1 / none;
}

__attribute__((noinline)) static unsigned deeper(unsigned depth) {
    volatile unsigned frame[256];
    frame[depth % 256] = depth;
    return frame[depth % 256] == depth ? deeper(depth + 1) + frame[depth % 256] : 0;
}

static void recurse(void) { sink = deeper(0); }

static void spin(void) {
    for (;;) sink++;
}

static void sleep_long(void) {
    for (;;) sleep(3600);
}

static void grow(void) {
    for (;;) {
        // Or else the compiler sees that nobody reads it, and asks for none.
        volatile char *memory = malloc(1 << 20);
        if (memory) memory[0] = 1;
    }
}

static void write_beyond(void) { *(volatile char *)0xfffffff0u = 1; }

static void huge_emit(void) {
    plugin_list_u8_t partial = {calloc(5, 1 << 20), 5 << 20};
    frond_plugin_control_emit_partial(&partial, 0.5);
}

static void call_forever(void) {
    for (;;) sink = (unsigned)frond_plugin_control_remaining_ms();
}

static void leave(void) { exit(3); }

static const struct {
    const char *name;
    void (*run)(void);
} COMMANDS[] = {
    {"assert", fail_assertion}, {"abort", abort},           {"exit", leave},           {"call-null", call_null},
    {"divide", divide},         {"recurse", recurse},       {"spin", spin},            {"sleep", sleep_long},
    {"grow", grow},             {"write-beyond", write_beyond}, {"huge-emit", huge_emit}, {"call-forever", call_forever},
};

static bool is(const plugin_list_u8_t *query, const char *name) {
    return query->len == strlen(name) && memcmp(query->ptr, name, query->len) == 0;
}

static bool refuse(frond_plugin_types_failure_t *failure, uint8_t tag, const char *why) {
    failure->tag = tag;
    plugin_string_dup(&failure->val.invalid_query, why);
    return false;
}

bool exports_frond_plugin_process_partition_process(plugin_list_u8_t *query,
                                                    exports_frond_plugin_process_partition_partition_t *partition,
                                                    plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    (void)partition;
    fprintf(stderr, "about to %.*s\n", (int)query->len, (const char *)query->ptr);
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (is(query, COMMANDS[i].name)) COMMANDS[i].run();
    }
    if (is(query, "invalid-query")) {
        return refuse(failure, FROND_PLUGIN_TYPES_FAILURE_INVALID_QUERY, "no such station");
    }
    if (is(query, "invalid-partition")) {
        return refuse(failure, FROND_PLUGIN_TYPES_FAILURE_INVALID_PARTITION, "line 3 has no price");
    }
    if (is(query, "unavailable")) {
        return refuse(failure, FROND_PLUGIN_TYPES_FAILURE_UNAVAILABLE, "the fares are being updated");
    }
    size_t size = is(query, "huge-output") ? 5 << 20 : 0;
    *result = (plugin_list_u8_t){calloc(1, size), size};
    return true;
}
