// The part of JSON (RFC 8259) that a safetensors header uses: objects, arrays, strings and unsigned integers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pyorder::json {

struct Value;
using Array = std::vector<Value>;
using Object = std::vector<std::pair<std::string, Value>>;  // in the order of the text

struct Value {
    std::variant<std::uint64_t, std::string, Array, Object> content;

    // The content if it is of that type, else nullptr.
    template <typename T>
    const T* as() const {
        return std::get_if<T>(&content);
    }
};

// Reads a whole text; only spaces may follow the value. Throws std::invalid_argument, with the reason and the
// position in bytes, for anything else: invalid UTF-8, a key given twice, numbers that are negative,
// fractional or beyond 64 bits, true, false, null, deep nesting.
Value parse(std::string_view text);

// The string in quotation marks, escaped. Throws std::invalid_argument when it is not UTF-8.
std::string quote(std::string_view text);

}  // namespace pyorder::json
