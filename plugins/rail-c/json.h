// JSON as plugins need it: a strict reader of flat objects, and a writer.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes that belong to somebody else, without a zero at their end.
struct text {
    const char *at;
    size_t len;
};

// Bytes that grow. All zeroes is an empty one; `at` is freed with `free`.
struct buffer {
    char *at;
    size_t len;
    size_t room;
};

void buffer_bytes(struct buffer *to, const char *bytes, size_t len);
void buffer_format(struct buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A JSON string, quotes included.
void buffer_string(struct buffer *to, struct text text);

// A text as the arguments of "%.*s".
#define SHOWN(text) (int)(text).len, (text).at

bool text_is(struct text text, const char *other);
bool text_same(struct text one, struct text other);
// True when all of it is UTF-8.
bool text_is_utf8(struct text text);
// Decimal digits and nothing else, up to `most`.
bool text_to_u64(struct text text, uint64_t most, uint64_t *value);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING };

// `value` is what a string says, or a number as it is written.
struct json_member {
    struct text name;
    enum json_kind kind;
    struct text value;
};

// Where a reader is. `error` says what is wrong, if anything is.
struct json {
    struct text text;
    size_t next;
    bool begun;
    const char *error;
    struct buffer name;
    struct buffer value;
};

struct json json_of(const uint8_t *bytes, size_t len);
// Reads the next member of the object. False at the object's end, which is the text's too, and when `error` is set.
// What `member` points to is gone with the next call. Objects and lists within the object are errors.
bool json_next(struct json *json, struct json_member *member);
void json_free(struct json *json);

#endif
