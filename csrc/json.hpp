// The part of JSON (RFC 8259) that a safetensors header uses: objects, arrays, strings and unsigned integers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace pyorder::json {

// What is wrong with a text, and at which byte.
class Error : public std::invalid_argument {
  public:
    using std::invalid_argument::invalid_argument;
};

enum class Kind { object, array, string, integer };

// Reads a text from front to back for a caller who knows what must come. It keeps nothing but the keys of the
// objects that it is inside of, so what is refused takes no memory, however long or deep it is. All throw
// Error for what is no such JSON: invalid UTF-8, a key given twice, numbers that are negative, fractional or
// beyond 64 bits, true, false, null.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    // What kind of value comes next; it stays there.
    Kind next();

    // Calls read_value with every key; it must read the value.
    void object(const std::function<void(const std::string& key)>& read_value);
    // Calls read_item for every item, which it must read.
    void array(const std::function<void()>& read_item);
    std::string string();
    std::uint64_t integer();

    // Only spaces may follow.
    void end();

  private:
    [[noreturn]] void fail(const std::string& reason) const;
    bool done() const { return at_ == text_.size(); }
    char peek() const { return done() ? '\0' : text_[at_]; }
    void skip_space();
    void expect(char wanted);
    bool at_end(char close, bool first);
    void read_escape(std::string& out);
    std::uint32_t read_code_unit();

    std::string_view text_;
    std::size_t at_ = 0;
};

// The string in quotation marks, escaped. Throws std::invalid_argument when it is not UTF-8.
std::string quote(std::string_view text);

// The same for a message: what is longer than 80 bytes is cut.
std::string excerpt(std::string_view text);

}  // namespace pyorder::json
