#include "row_index.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "hash.hpp"
#include "interruption.hpp"

namespace pyorder {
namespace {

// Open addressing with linear probing, at most three quarters full. A place is empty (0), or holds the upper
// bits of a row's hash, which spare most looks at rows that differ, over the row's index plus one.
constexpr std::uint64_t tag_mask = ~std::uint64_t{0} << 40;

// Places in a large table are far apart in memory: those of a batch are fetched together.
constexpr std::size_t batch = 64;

std::vector<std::uint64_t> make_table(std::size_t rows) {
    return std::vector<std::uint64_t>(std::bit_ceil(rows + rows / 3 + 2), 0);
}

// Where the row is in the table, or else the empty place where it would go.
std::size_t find_place(const std::vector<std::uint64_t>& table, const Rows& rows, const std::byte* row,
                       std::uint64_t code) {
    const std::uint64_t tag = code & tag_mask;
    std::size_t place = static_cast<std::size_t>(code) & (table.size() - 1);
    while (table[place] != 0 &&
           ((table[place] & tag_mask) != tag ||
            std::memcmp(rows[(table[place] & ~tag_mask) - 1], row, rows.row_bytes) != 0)) {
        place = (place + 1) & (table.size() - 1);
    }
    return place;
}

// Calls visit(row, place, code) for `count` rows at `data`, each with its place in the table.
template <class Visit>
void for_each_place(const std::vector<std::uint64_t>& table, const Rows& rows, const std::byte* data,
                    std::size_t count, Visit visit) {
    std::array<std::uint64_t, batch> codes{};
    for (std::size_t first = 0; first < count; first += batch) {
        interruption_point(batch * (8 + rows.row_bytes / 8));
        const std::size_t last = std::min(first + batch, count);
        for (std::size_t row = first; row < last; ++row) {
            const std::uint64_t code = hash_bytes(data + row * rows.row_bytes, rows.row_bytes);
            codes[row - first] = code;
            __builtin_prefetch(&table[static_cast<std::size_t>(code) & (table.size() - 1)]);
        }
        for (std::size_t row = first; row < last; ++row) {
            const std::uint64_t code = codes[row - first];
            visit(row, find_place(table, rows, data + row * rows.row_bytes, code), code);
        }
    }
}

}  // namespace

std::size_t group_rows(Rows rows, std::int64_t* out) {
    auto table = make_table(rows.count);
    std::int64_t groups = 0;
    for_each_place(table, rows, rows.data, rows.count,
                   [&](std::size_t row, std::size_t place, std::uint64_t code) {
                       if (table[place] == 0) {
                           table[place] = (code & tag_mask) | (row + 1);
                           out[row] = groups++;
                       } else {
                           out[row] = out[(table[place] & ~tag_mask) - 1];
                       }
                   });
    return static_cast<std::size_t>(groups);
}

RowIndex::RowIndex(Rows rows) : rows_(rows), table_(make_table(rows.count)) {
    for_each_place(table_, rows_, rows_.data, rows_.count,
                   [&](std::size_t row, std::size_t place, std::uint64_t code) {
                       if (table_[place] == 0) table_[place] = (code & tag_mask) | (row + 1);
                   });
}

void RowIndex::contains(const std::byte* data, std::size_t count, bool* out) const {
    for_each_place(table_, rows_, data, count,
                   [&](std::size_t row, std::size_t place, std::uint64_t) { out[row] = table_[place] != 0; });
}

}  // namespace pyorder
