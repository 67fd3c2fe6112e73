// JSON for plugins: a strict reader of flat objects, and a writer.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Borrowed bytes, without a terminating zero.
struct text {
    const char *at;
    size_t len;
};

// Growable bytes. All zeroes is an empty buffer; the owner frees `at` with `free`.
struct buffer {
    char *at;
    size_t len;
    size_t room;
};

void buffer_bytes(struct buffer *to, const char *bytes, size_t len);
void buffer_format(struct buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Appends a JSON string with its quotes.
void buffer_string(struct buffer *to, struct text text);

// Expands a text to the arguments of "%.*s".
#define SHOWN(text) (int)(text).len, (text).at

bool text_is(struct text text, const char *other);
bool text_same(struct text one, struct text other);
// Returns true if the whole text is UTF-8.
bool text_is_utf8(struct text text);
// Parses decimal digits, and nothing else, as a number up to `most`.
bool text_to_u64(struct text text, uint64_t most, uint64_t *value);

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING };

// A member of an object. `value` is the unescaped content of a string, or a number as it is
// written.
struct json_member {
    struct text name;
    enum json_kind kind;
    struct text value;
};

// State of a reader. `error` says what is wrong, or is NULL.
struct json {
    struct text text;
    size_t next;
    bool begun;
    const char *error;
    struct buffer name;
    struct buffer value;
};

struct json json_of(const uint8_t *bytes, size_t len);
// Reads the next member of the object. Returns false at the end of the object, which must also be
// the end of the text, and when it has set `error`. The texts of `member` are valid until the next
// call. Nested objects and lists are errors.
bool json_next(struct json *json, struct json_member *member);
void json_free(struct json *json);

#endif
