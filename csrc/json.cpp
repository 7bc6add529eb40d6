#include "json.hpp"

#include <charconv>
#include <unordered_set>

namespace pyorder::json {
namespace {

// Bytes of the UTF-8 sequence that starts text, 0 if it is invalid (overlong, surrogate, beyond U+10FFFF,
// cut).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
    }
    const unsigned char second = byte(1);
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second >= 0xA0) return 0;
    if (first == 0xF0 && second < 0x90) return 0;
    if (first == 0xF4 && second >= 0x90) return 0;
    return length;
}

void append_utf8(std::string& out, std::uint32_t code) {
    const auto add = [&out](std::uint32_t byte) {
        out += static_cast<char>(static_cast<unsigned char>(byte));
    };
    if (code < 0x80) {
        add(code);
    } else if (code < 0x800) {
        add(0xC0 | (code >> 6));
        add(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        add(0xE0 | (code >> 12));
        add(0x80 | ((code >> 6) & 0x3F));
        add(0x80 | (code & 0x3F));
    } else {
        add(0xF0 | (code >> 18));
        add(0x80 | ((code >> 12) & 0x3F));
        add(0x80 | ((code >> 6) & 0x3F));
        add(0x80 | (code & 0x3F));
    }
}

}  // namespace

void Reader::fail(const std::string& reason) const {
    throw Error(reason + " at byte " + std::to_string(at_));
}

void Reader::skip_space() {
    while (!done() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
}

void Reader::expect(char wanted) {
    skip_space();
    if (done() || peek() != wanted) fail(std::string("expected '") + wanted + "'");
    ++at_;
}

// Whether the next character closes a list; if not and it is not the first item, reads the comma.
bool Reader::at_end(char close, bool first) {
    skip_space();
    if (peek() == close) {
        ++at_;
        return true;
    }
    if (!first) expect(',');
    return false;
}

Kind Reader::next() {
    skip_space();
    const char c = peek();
    if (c == '{') return Kind::object;
    if (c == '[') return Kind::array;
    if (c == '"') return Kind::string;
    if (c >= '0' && c <= '9') return Kind::integer;
    fail("expected an object, an array, a string or an unsigned integer");
}

void Reader::object(const std::function<void(const std::string& key)>& read_value) {
    expect('{');
    std::unordered_set<std::string> keys;
    while (!at_end('}', keys.empty())) {
        skip_space();
        if (peek() != '"') fail("expected a key");
        const auto [key, fresh] = keys.insert(string());
        if (!fresh) fail("duplicate key " + excerpt(*key));
        expect(':');
        read_value(*key);
    }
}

void Reader::array(const std::function<void()>& read_item) {
    expect('[');
    for (bool first = true; !at_end(']', first); first = false) read_item();
}

void Reader::end() {
    while (!done() && peek() == ' ') ++at_;
    if (!done()) fail("text after the end");
}

std::uint64_t Reader::integer() {
    skip_space();
    const char* const begin = text_.data() + at_;
    const char* const end = text_.data() + text_.size();
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number);
    if (error == std::errc::invalid_argument) fail("expected an unsigned integer");
    if (error != std::errc{}) fail("an integer beyond 64 bits");
    if (*begin == '0' && stop - begin > 1) fail("a number with a leading zero");
    at_ += static_cast<std::size_t>(stop - begin);
    if (peek() == '.' || peek() == 'e' || peek() == 'E') fail("a number that is not an integer");
    return number;
}

std::string Reader::string() {
    expect('"');
    std::string out;
    while (true) {
        if (done()) fail("a string without end");
        const char c = peek();
        if (c == '"') {
            ++at_;
            return out;
        }
        if (c == '\\') {
            read_escape(out);
            continue;
        }
        if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
        const std::size_t length = utf8_length(text_.substr(at_));
        if (length == 0) fail("invalid UTF-8");
        out.append(text_, at_, length);
        at_ += length;
    }
}

void Reader::read_escape(std::string& out) {
    ++at_;  // the backslash
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const char c = peek();
    const std::size_t which = letters.find(c);
    if (!done() && which != std::string_view::npos) {
        out += meanings[which];
        ++at_;
        return;
    }
    if (c != 'u') fail("an unknown escape");
    std::uint32_t code = read_code_unit();
    if (code >= 0xDC00 && code < 0xE000) fail("a lone surrogate");
    if (code >= 0xD800 && code < 0xDC00) {
        if (text_.substr(at_, 2) != "\\u") fail("a lone surrogate");
        ++at_;
        const std::uint32_t low = read_code_unit();
        if (low < 0xDC00 || low >= 0xE000) fail("a lone surrogate");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, code);
}

// The four hexadecimal digits after "u".
std::uint32_t Reader::read_code_unit() {
    const std::string_view digits = text_.substr(at_ + 1, 4);
    std::uint32_t code = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc{} || stop != digits.data() + 4)
        fail("an invalid \\u escape");
    at_ += 5;
    return code;
}

std::string quote(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) throw std::invalid_argument("text that is not UTF-8");
        const char c = text.front();
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += "\\u00";
            out += hex[static_cast<std::size_t>(c) / 16];
            out += hex[static_cast<std::size_t>(c) % 16];
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
    return out += '"';
}

std::string excerpt(std::string_view text) {
    constexpr std::size_t most = 80;
    if (text.size() <= most) return quote(text);
    std::size_t end = most;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return quote(text.substr(0, end)) + "...";
}

}  // namespace pyorder::json
