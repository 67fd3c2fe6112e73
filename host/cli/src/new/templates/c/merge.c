// The merge: folds partials into one, and makes the answer of the last one.

#include "json.h"
#include "plugin.h" // made by wit-bindgen from wit/

// Adds a partial's count to the sum.
static bool add(uint64_t *sum, plugin_list_u8_t *partial) {
    struct json json = json_of(partial->ptr, partial->len);
    struct json_member member;
    uint64_t count = 0;
    bool is_right = json_next(&json, &member) && text_is(member.name, "count") && member.kind == JSON_NUMBER &&
                    text_to_u64(member.value, UINT64_MAX - *sum, &count) && !json_next(&json, &member) && !json.error;
    json_free(&json);
    *sum += count;
    return is_right;
}

static bool answer(bool is_right, uint64_t sum, plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    if (is_right) {
        struct buffer text = {0};
        buffer_format(&text, "{\"count\":%llu}", (unsigned long long)sum);
        *result = (plugin_list_u8_t){(uint8_t *)text.at, text.len};
    } else {
        failure->tag = FROND_PLUGIN_TYPES_FAILURE_INVALID_PARTITION;
        plugin_string_dup(&failure->val.invalid_partition, "a partial is not a count");
    }
    return is_right;
}

// Adds counts up. Partials arrive in any order, and what is merged may be merged again.
bool exports_frond_plugin_merge_partials_merge(plugin_list_u8_t *query, plugin_list_list_u8_t *partials,
                                               plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    uint64_t sum = 0;
    bool is_right = true;
    for (size_t i = 0; is_right && i < partials->len; i++) is_right = add(&sum, &partials->ptr[i]);
    plugin_list_u8_free(query);
    plugin_list_list_u8_free(partials);
    return answer(is_right, sum, result, failure);
}

// The answer is the sum; without any partial, none.
bool exports_frond_plugin_merge_partials_finish(plugin_list_u8_t *query, plugin_list_u8_t *merged,
                                                exports_frond_plugin_merge_partials_coverage_t *coverage,
                                                plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    uint64_t sum = 0;
    bool is_right = !merged || add(&sum, merged);
    (void)coverage;
    plugin_list_u8_free(query);
    if (merged) plugin_list_u8_free(merged);
    return answer(is_right, sum, result, failure);
}
