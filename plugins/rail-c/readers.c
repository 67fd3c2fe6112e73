// The leaf of plugins/readers in C: reports what each reader of pieces.c gives it.

#include <stdlib.h>

#include "pieces.h"

static void keep(struct pieces *pieces, const struct buffer *found) {
    if (pieces_are_due(pieces)) pieces_keep(pieces, found->at, found->len);
}

typedef bool next_text(struct pieces *pieces, struct text *text);

static void texts(struct pieces *pieces, struct buffer *found, next_text *next) {
    struct text text;
    while (next(pieces, &text)) {
        buffer_format(found, "%lu\n", (unsigned long)text.len);
        buffer_bytes(found, text.at, text.len);
        keep(pieces, found);
    }
}

static void blocks(struct pieces *pieces, struct buffer *found) {
    struct text block;
    uint64_t offset;
    while (pieces_block(pieces, &offset, &block)) {
        buffer_format(found, "%llu %lu\n", (unsigned long long)offset, (unsigned long)block.len);
        buffer_bytes(found, block.at, block.len);
        keep(pieces, found);
    }
}

static void integers(struct pieces *pieces, struct buffer *found) {
    int64_t start, end;
    while (pieces_integers(pieces, &start, &end)) {
        buffer_format(found, "%lld %lld\n", (long long)start, (long long)end);
        keep(pieces, found);
    }
}

// Exports `process`: runs the reader that the query names.
bool exports_frond_plugin_process_partition_process(plugin_list_u8_t *query,
                                                    exports_frond_plugin_process_partition_partition_t *partition,
                                                    plugin_list_u8_t *result, frond_plugin_types_failure_t *failure) {
    char reader = query->len > 0 ? (char)query->ptr[0] : 0;
    struct pieces pieces = pieces_of(query->len > 1 ? (char)query->ptr[1] : 0);
    struct buffer found = {0};
    bool is_right = reader != 'i' || pieces_of_integers(&pieces, failure);
    if (is_right) {
        if (reader == 'r') texts(&pieces, &found, pieces_record);
        if (reader == 'b') blocks(&pieces, &found);
        if (reader == 'c') texts(&pieces, &found, pieces_chunk);
        if (reader == 'i') integers(&pieces, &found);
        *result = (plugin_list_u8_t){(uint8_t *)found.at, found.len};
    }
    pieces_free(&pieces);
    plugin_list_u8_free(query);
    exports_frond_plugin_process_partition_partition_free(partition);
    return is_right;
}
