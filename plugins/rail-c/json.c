#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_room(struct buffer *to, size_t more) {
    if (to->room - to->len >= more) return;
    size_t room = to->room * 2 > to->len + more ? to->room * 2 : to->len + more;
    char *at = realloc(to->at, room);
    if (!at) abort();
    to->at = at;
    to->room = room;
}

void buffer_bytes(struct buffer *to, const char *bytes, size_t len) {
    if (len == 0) return;
    make_room(to, len);
    memcpy(to->at + to->len, bytes, len);
    to->len += len;
}

void buffer_format(struct buffer *to, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) abort();
    make_room(to, (size_t)len + 1);
    vsnprintf(to->at + to->len, (size_t)len + 1, format, again);
    va_end(again);
    to->len += (size_t)len;
}

static void put_escape(struct buffer *to, unsigned char byte) {
    static const char names[] = "btn?fr"; // backspace to carriage return
    if (byte == '"' || byte == '\\') {
        buffer_format(to, "\\%c", byte);
    } else if (byte >= '\b' && byte <= '\r' && byte != '\v') {
        buffer_format(to, "\\%c", names[byte - '\b']);
    } else {
        buffer_format(to, "\\u%04x", byte);
    }
}

void buffer_string(struct buffer *to, struct text text) {
    size_t begin = 0; // start of the bytes that need no escape
    buffer_bytes(to, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte >= ' ' && byte != '"' && byte != '\\') continue;
        buffer_bytes(to, text.at + begin, i - begin);
        begin = i + 1;
        put_escape(to, byte);
    }
    if (begin < text.len) buffer_bytes(to, text.at + begin, text.len - begin);
    buffer_bytes(to, "\"", 1);
}

bool text_same(struct text one, struct text other) {
    return one.len == other.len && (one.len == 0 || memcmp(one.at, other.at, one.len) == 0);
}

bool text_is(struct text text, const char *other) { return text_same(text, (struct text){other, strlen(other)}); }

// Returns the length in bytes of the UTF-8 character at `at`, or 0 if there is no valid one.
static size_t utf8_len(const char *at, size_t len) {
    const unsigned char *byte = (const unsigned char *)at;
    unsigned char low = 0x80, high = 0xbf;
    size_t whole;
    if (byte[0] < 0x80) return 1;
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf) whole = 2;
    else if (byte[0] >= 0xe0 && byte[0] <= 0xef) whole = 3;
    else if (byte[0] >= 0xf0 && byte[0] <= 0xf4) whole = 4;
    else return 0;
    if (byte[0] == 0xe0) low = 0xa0;  // else it would fit in two bytes
    if (byte[0] == 0xed) high = 0x9f; // else it would be half of a surrogate pair
    if (byte[0] == 0xf0) low = 0x90;  // else it would fit in three bytes
    if (byte[0] == 0xf4) high = 0x8f; // else it would be beyond the last character
    if (whole > len || byte[1] < low || byte[1] > high) return 0;
    for (size_t i = 2; i < whole; i++) {
        if ((byte[i] & 0xc0) != 0x80) return 0;
    }
    return whole;
}

bool text_is_utf8(struct text text) {
    for (size_t i = 0; i < text.len;) {
        size_t len = utf8_len(text.at + i, text.len - i);
        if (len == 0) return false;
        i += len;
    }
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool text_to_u64(struct text text, uint64_t most, uint64_t *value) {
    uint64_t sum = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.at[i])) return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (digit > most || sum > (most - digit) / 10) return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return text.len > 0;
}

struct json json_of(const uint8_t *bytes, size_t len) {
    return (struct json){.text = {(const char *)bytes, len}};
}

void json_free(struct json *json) {
    free(json->name.at);
    free(json->value.at);
    *json = (struct json){0};
}

static bool wrong(struct json *json, const char *error) {
    json->error = error;
    return false;
}

// Returns the next byte, or 0 at the end: valid JSON has no zero byte where this is called.
static char peek(const struct json *json) { return json->next < json->text.len ? json->text.at[json->next] : 0; }

static bool eat(struct json *json, char expected) {
    if (peek(json) != expected) return false;
    json->next++;
    return true;
}

static void eat_space(struct json *json) {
    while (peek(json) == ' ' || peek(json) == '\t' || peek(json) == '\n' || peek(json) == '\r') json->next++;
}

static bool eat_word(struct json *json, const char *word) {
    size_t len = strlen(word);
    if (json->text.len - json->next < len || memcmp(json->text.at + json->next, word, len) != 0) return false;
    json->next += len;
    return true;
}

static void put_utf8(struct buffer *to, uint32_t c) {
    char bytes[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)(lead[len] | c);
    buffer_bytes(to, bytes, len);
}

static bool read_hex(struct json *json, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(json);
        uint32_t digit;
        if (is_digit(c)) digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') digit = (uint32_t)(c - 'A' + 10);
        else return wrong(json, "four hexadecimal digits should follow \\u");
        *unit = *unit * 16 + digit;
        json->next++;
    }
    return true;
}

// Reads the rest of a Unicode escape: one UTF-16 unit, or the two units of a surrogate pair.
static bool read_unicode(struct json *json, struct buffer *to) {
    uint32_t first, second;
    if (!read_hex(json, &first)) return false;
    if (first >= 0xdc00 && first <= 0xdfff) return wrong(json, "half of a surrogate pair");
    if (first >= 0xd800 && first <= 0xdbff) {
        if (!eat_word(json, "\\u")) return wrong(json, "half of a surrogate pair");
        if (!read_hex(json, &second)) return false;
        if (second < 0xdc00 || second > 0xdfff) return wrong(json, "half of a surrogate pair");
        first = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    put_utf8(to, first);
    return true;
}

static bool read_escape(struct json *json, struct buffer *to) {
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    if (eat(json, 'u')) return read_unicode(json, to);
    const char *name = peek(json) ? strchr(names, peek(json)) : NULL;
    if (!name) return wrong(json, "an unknown escape");
    json->next++;
    buffer_bytes(to, &bytes[name - names], 1);
    return true;
}

static bool read_string(struct json *json, struct buffer *to) {
    make_room(to, 1); // so that an empty string has an address too
    to->len = 0;
    if (!eat(json, '"')) return wrong(json, "a string should be here");
    while (json->next < json->text.len) {
        const char *at = json->text.at + json->next;
        if (eat(json, '"')) return true;
        if (eat(json, '\\')) {
            if (!read_escape(json, to)) return false;
            continue;
        }
        size_t len = utf8_len(at, json->text.len - json->next);
        if (len == 0) return wrong(json, "a string is not UTF-8");
        if ((unsigned char)*at < ' ') return wrong(json, "a control character in a string");
        buffer_bytes(to, at, len);
        json->next += len;
    }
    return wrong(json, "a string does not end");
}

static bool eat_digits(struct json *json) {
    if (!is_digit(peek(json))) return wrong(json, "a digit should be here");
    while (is_digit(peek(json))) json->next++;
    return true;
}

static bool read_number(struct json *json) {
    eat(json, '-');
    if (!eat(json, '0') && !eat_digits(json)) return false;
    if (eat(json, '.') && !eat_digits(json)) return false;
    if (eat(json, 'e') || eat(json, 'E')) {
        if (!eat(json, '+')) eat(json, '-');
        if (!eat_digits(json)) return false;
    }
    return true;
}

static bool read_value(struct json *json, struct json_member *member) {
    size_t begin = json->next;
    char first = peek(json);
    if (first == '"') {
        if (!read_string(json, &json->value)) return false;
        member->kind = JSON_STRING;
        member->value = (struct text){json->value.at, json->value.len};
        return true;
    }
    if (eat_word(json, "null")) {
        member->kind = JSON_NULL;
    } else if (eat_word(json, "true") || eat_word(json, "false")) {
        member->kind = JSON_BOOL;
    } else if (first == '-' || is_digit(first)) {
        if (!read_number(json)) return false;
        member->kind = JSON_NUMBER;
    } else {
        return wrong(json, "a string, a number, true, false or null should be here");
    }
    member->value = (struct text){json->text.at + begin, json->next - begin};
    return true;
}

static bool at_end(struct json *json) {
    eat_space(json);
    return json->next == json->text.len ? false : wrong(json, "more follows after the object");
}

bool json_next(struct json *json, struct json_member *member) {
    eat_space(json);
    if (!json->begun) {
        json->begun = true;
        if (!eat(json, '{')) return wrong(json, "an object should be here");
        eat_space(json);
        if (eat(json, '}')) return at_end(json);
    } else {
        if (eat(json, '}')) return at_end(json);
        if (!eat(json, ',')) return wrong(json, "a comma or the object's end should be here");
        eat_space(json);
    }
    if (!read_string(json, &json->name)) return false;
    eat_space(json);
    if (!eat(json, ':')) return wrong(json, "a colon should follow a name");
    eat_space(json);
    member->name = (struct text){json->name.at, json->name.len};
    return read_value(json, member);
}
