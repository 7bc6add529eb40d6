// Equal rows of a table: found by their bytes, in the caller's memory, without a copy of any.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace pyorder {

// A view of `count` rows of `row_bytes` bytes each, which may be none.
struct Rows {
    const std::byte* data;
    std::size_t count;
    std::size_t row_bytes;

    const std::byte* operator[](std::size_t row) const { return data + row * row_bytes; }
};

// out[i] = the number of row i among the different rows, which count from 0 in the sequence in which they
// first appear. Returns how many there are. Takes at most 22 bytes a row beside `out`.
std::size_t group_rows(Rows rows, std::int64_t* out);

// Which rows occur among others: takes at most 22 bytes for each of the others.
class RowIndex {
  public:
    explicit RowIndex(Rows rows);

    // out[i] = whether the row at `data` + i * row_bytes is one of the rows.
    void contains(const std::byte* data, std::size_t count, bool* out) const;

  private:
    Rows rows_;
    std::vector<std::uint64_t> table_;
};

// RowIndex::contains for values of any integer type, which are compared as numbers: a few rows at a time are
// converted, and one with a value beyond the type of `known` is not among them.
template <class Known, class Value>
void contains_values(const RowIndex& known, const Value* values, std::size_t count, std::size_t width,
                     bool* out) {
    if constexpr (std::is_same_v<Known, Value>) {
        return known.contains(reinterpret_cast<const std::byte*>(values), count, out);
    }
    const std::size_t chunk =
        std::max<std::size_t>(1, std::min(count, 65'536 / std::max<std::size_t>(width, 1)));
    std::vector<Known> converted(chunk * width);
    for (std::size_t first = 0; first < count; first += chunk) {
        const std::size_t rows = std::min(chunk, count - first);
        const Value* const from = values + first * width;
        for (std::size_t i = 0; i < rows * width; ++i) converted[i] = static_cast<Known>(from[i]);
        known.contains(reinterpret_cast<const std::byte*>(converted.data()), rows, out + first);
        for (std::size_t row = 0; row < rows; ++row) {
            bool fits = true;
            for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
                fits = fits && std::in_range<Known>(from[i]);
            }
            out[first + row] = out[first + row] && fits;
        }
    }
}

}  // namespace pyorder
