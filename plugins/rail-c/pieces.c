// Readers of the call's pieces.

#include "pieces.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST = 1 << 20,        // bytes of a read: 1 MiB is fastest
    STEP = 4 << 10,        // bytes that are read beyond a block, to complete its last record
    LEAST_PIECES = 16,     // pieces between two kept partials: about a twentieth of a second
    BYTES_PER_BYTE = 16,   // bytes that are processed for each byte of a kept partial
    PIECE_BYTES = 64 << 10 // bytes that a piece of integers counts as
};

static uint64_t least(uint64_t one, uint64_t other) { return one < other ? one : other; }

struct pieces pieces_of(char delimiter) {
    bool is_integers = frond_plugin_pieces_unit() == FROND_PLUGIN_PIECES_PIECE_UNIT_INTEGERS;
    return (struct pieces){.delimiter = delimiter, .is_integers = is_integers};
}

void pieces_free(struct pieces *pieces) {
    plugin_list_u8_free(&pieces->bytes);
    *pieces = (struct pieces){0};
}

// Takes pieces until one has bytes. Where pieces count integers, the content belongs to the first
// one; a range without integers has no piece.
static bool take(struct pieces *pieces) {
    while (pieces->start >= pieces->end) {
        frond_plugin_pieces_piece_t piece = {0};
        bool is_first = !pieces->is_begun, is_some = frond_plugin_pieces_next(&piece);
        pieces->is_begun = true;
        if (!is_some && !(is_first && pieces->is_integers)) return false;
        if (pieces->is_integers) {
            bool has_content = piece.begin == 0;
            piece = (frond_plugin_pieces_piece_t){0, has_content ? frond_plugin_source_size() : 0};
            if (!is_some && piece.end == 0) return false;
        }
        pieces->start = piece.begin;
        pieces->end = piece.end;
        pieces->pieces++;
        pieces->work += piece.end - piece.begin;
    }
    return true;
}

// Reads from `begin` to the end of the record that has the byte at `at`. Returns its end in `bytes`.
static size_t read_through(struct pieces *pieces, uint64_t begin, uint64_t at) {
    plugin_list_u8_t *bytes = &pieces->bytes, more;
    plugin_list_u8_free(bytes);
    frond_plugin_source_read(begin, (uint32_t)(at - begin + STEP), bytes);
    for (size_t searched = (size_t)(at - begin);;) {
        if (searched > bytes->len) searched = bytes->len;
        const uint8_t *found = memchr(bytes->ptr + searched, pieces->delimiter, bytes->len - searched);
        if (found) return (size_t)(found + 1 - bytes->ptr);
        searched = bytes->len;
        // A record that is longer than usual.
        frond_plugin_source_read(begin + searched, (uint32_t)least(searched > STEP ? searched : STEP, MOST), &more);
        if (more.len == 0) return searched;
        uint8_t *longer = realloc(bytes->ptr, searched + more.len);
        if (!longer) abort();
        memcpy(longer + searched, more.ptr, more.len);
        *bytes = (plugin_list_u8_t){longer, searched + more.len};
        plugin_list_u8_free(&more);
    }
}

// Reads the next block.
static bool advance(struct pieces *pieces) {
    for (;;) {
        bool is_first = !pieces->is_begun;
        if (!take(pieces)) return false;
        // The record that goes on here began in another piece.
        if (is_first && pieces->start > 0) {
            pieces->begin = pieces->start - 1;
            pieces->begin += read_through(pieces, pieces->begin, pieces->begin);
        }
        uint64_t limit = least(pieces->end, pieces->begin + MOST - STEP);
        if (pieces->begin >= limit) {
            pieces->start = pieces->end;
            continue;
        }
        pieces->block_offset = pieces->begin;
        pieces->record = 0;
        pieces->block_end = read_through(pieces, pieces->begin, limit - 1);
        pieces->begin += pieces->block_end;
        pieces->start = least(pieces->begin, pieces->end);
        return pieces->block_end > 0;
    }
}

bool pieces_block(struct pieces *pieces, uint64_t *offset, struct text *block) {
    if (pieces->record >= pieces->block_end && !advance(pieces)) return false;
    *offset = pieces->block_offset + pieces->record;
    *block = (struct text){(const char *)pieces->bytes.ptr + pieces->record, pieces->block_end - pieces->record};
    pieces->record = pieces->block_end;
    return true;
}

bool pieces_record(struct pieces *pieces, struct text *record) {
    if (pieces->record >= pieces->block_end && !advance(pieces)) return false;
    const char *at = (const char *)pieces->bytes.ptr + pieces->record;
    size_t left = pieces->block_end - pieces->record;
    const char *found = memchr(at, pieces->delimiter, left);
    *record = (struct text){at, found ? (size_t)(found - at) : left};
    pieces->record += record->len + (found ? 1 : 0);
    return true;
}

bool pieces_chunk(struct pieces *pieces, struct text *chunk) {
    if (!take(pieces)) return false;
    plugin_list_u8_free(&pieces->bytes);
    frond_plugin_source_read(pieces->start, (uint32_t)least(pieces->end - pieces->start, MOST), &pieces->bytes);
    *chunk = (struct text){(const char *)pieces->bytes.ptr, pieces->bytes.len};
    pieces->start += chunk->len;
    return chunk->len > 0;
}

static bool refuse(frond_plugin_types_failure_t *failure, const char *reason) {
    failure->tag = FROND_PLUGIN_TYPES_FAILURE_INVALID_PARTITION;
    plugin_string_dup(&failure->val.invalid_partition, reason);
    return false;
}

bool pieces_of_integers(struct pieces *pieces, frond_plugin_types_failure_t *failure) {
    *pieces = pieces_of(0);
    if (!pieces->is_integers) {
        return refuse(failure, "its pieces count bytes, not integers\n"
                               "(use a `range` source, or write the partition exactly as `{\"start\":0,\"end\":10}`)");
    }
    char content[64] = {0}, *at;
    plugin_list_u8_t bytes;
    frond_plugin_source_read(0, sizeof content - 1, &bytes);
    memcpy(content, bytes.ptr, bytes.len);
    plugin_list_u8_free(&bytes);
    pieces->first = strtoll(content + strlen("{\"start\":"), &at, 10);
    int64_t end = strtoll(at + strlen(",\"end\":"), NULL, 10);
    if (pieces->first > end) return refuse(failure, "the range ends before it starts");
    return true;
}

bool pieces_integers(struct pieces *pieces, int64_t *start, int64_t *end) {
    frond_plugin_pieces_piece_t piece;
    if (!frond_plugin_pieces_next(&piece)) return false;
    *start = (int64_t)((uint64_t)pieces->first + piece.begin);
    *end = (int64_t)((uint64_t)pieces->first + piece.end);
    pieces->pieces++;
    pieces->work += PIECE_BYTES;
    return true;
}

bool pieces_are_due(const struct pieces *pieces) {
    bool is_end = pieces->start >= pieces->end && pieces->record >= pieces->block_end;
    return is_end && pieces->pieces >= LEAST_PIECES && pieces->work >= BYTES_PER_BYTE * pieces->kept;
}

void pieces_keep(struct pieces *pieces, const char *partial, size_t len) {
    plugin_list_u8_t bytes = {(uint8_t *)partial, len};
    frond_plugin_pieces_keep(&bytes);
    pieces->pieces = pieces->work = 0;
    pieces->kept = len;
}
