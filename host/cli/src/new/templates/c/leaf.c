// The leaf: one partition in, one partial out.

#include <string.h>

#include "json.h"
#include "plugin.h" // made by wit-bindgen from wit/

// What the client asks, such as {"longer-than": 20}, in bytes.
static bool longer_than(plugin_list_u8_t *query, uint64_t *length) {
    struct json json = json_of(query->ptr, query->len);
    struct json_member member;
    bool is_right = true;
    int count = 0;
    while (is_right && json_next(&json, &member)) {
        is_right = text_is(member.name, "longer-than") && member.kind == JSON_NUMBER &&
                   text_to_u64(member.value, UINT64_MAX, length);
        count++;
    }
    is_right = is_right && count == 1 && !json.error;
    json_free(&json);
    return is_right;
}

static uint64_t count_lines(const plugin_list_u8_t *data, uint64_t length) {
    const uint8_t *at = data->ptr, *end = data->ptr + data->len;
    uint64_t count = 0;
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *stop = newline ? newline : end;
        if ((uint64_t)(stop - at) > length) count++;
        at = newline ? newline + 1 : end;
    }
    return count;
}

// Counts the long lines of one partition. What it is given is its own to free; what it returns, the runtime frees.
bool exports_frond_plugin_process_partition_process(plugin_list_u8_t *query,
                                                    exports_frond_plugin_process_partition_partition_t *partition,
                                                    plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    uint64_t length;
    bool is_right = longer_than(query, &length);
    if (is_right) {
        struct buffer partial = {0};
        buffer_format(&partial, "{\"count\":%llu}", (unsigned long long)count_lines(&partition->data, length));
        *result = (plugin_list_u8_t){(uint8_t *)partial.at, partial.len};
    } else {
        failure->tag = FROND_PLUGIN_TYPES_FAILURE_INVALID_QUERY;
        plugin_string_dup(&failure->val.invalid_query, "a query is such as {\"longer-than\": 20}");
    }
    plugin_list_u8_free(query);
    exports_frond_plugin_process_partition_partition_free(partition);
    return is_right;
}
