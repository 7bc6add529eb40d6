// A set of rows of steps that remembers the sequence in which they came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "hash.hpp"

namespace pyorder {

// Open addressing with linear probing. Rows are compared by content but never ranked by it, so that their
// sequence does not depend on how steps are labelled.
template <class Step>
class RowSet {
  public:
    explicit RowSet(std::size_t length) : length_(length), table_(64, 0) {}

    // Adds a copy of the row, and says whether it is new.
    bool insert(const Step* row) {
        const std::uint64_t code = hash(row);
        const std::size_t place = find_place(row, code);
        if (table_[place] != 0) {
            return false;
        }
        rows_.insert(rows_.end(), row, row + length_);
        table_[place] = (code & tag_mask) | ++size_;
        if (2 * size_ > table_.size()) {
            grow();
        }
        return true;
    }

    // The index of a row, or the number of rows where it is not among them.
    std::size_t find(const Step* row) const {
        const std::uint64_t found = table_[find_place(row, hash(row))];
        return found == 0 ? size_ : static_cast<std::size_t>((found & ~tag_mask) - 1);
    }

    const Step* operator[](std::size_t index) const { return rows_.data() + index * length_; }

    std::size_t size() const { return size_; }

    // The rows in the sequence in which they first came.
    std::vector<Step> take() && { return std::move(rows_); }

  private:
    // A place in the table is empty (0), or holds the upper bits of a row's hash, which spare most looks at
    // rows that differ, over the row's index plus one.
    static constexpr std::uint64_t tag_mask = ~std::uint64_t{0} << 40;

    std::size_t first_place(std::uint64_t code) const {
        return static_cast<std::size_t>(code) & (table_.size() - 1);
    }
    std::size_t next_place(std::size_t place) const { return (place + 1) & (table_.size() - 1); }

    // Where the row is, or else the empty place where it would go.
    std::size_t find_place(const Step* row, std::uint64_t code) const {
        const std::uint64_t tag = code & tag_mask;
        std::size_t place = first_place(code);
        while (table_[place] != 0 &&
               ((table_[place] & tag_mask) != tag || !equal(row, (table_[place] & ~tag_mask) - 1))) {
            place = next_place(place);
        }
        return place;
    }

    bool equal(const Step* row, std::uint64_t index) const {
        return std::memcmp(rows_.data() + index * length_, row, length_ * sizeof(Step)) == 0;
    }

    void grow() {
        table_.assign(2 * table_.size(), 0);
        for (std::size_t index = 0; index < size_; ++index) {
            const std::uint64_t code = hash(rows_.data() + index * length_);
            std::size_t place = first_place(code);
            while (table_[place] != 0) {
                place = next_place(place);
            }
            table_[place] = (code & tag_mask) | (index + 1);
        }
    }

    std::uint64_t hash(const Step* row) const { return hash_bytes(row, length_ * sizeof(Step)); }

    std::size_t length_;
    std::size_t size_ = 0;
    std::vector<Step> rows_;
    std::vector<std::uint64_t> table_;
};

}  // namespace pyorder
