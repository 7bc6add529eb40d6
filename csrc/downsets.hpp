// The downsets of a dependency graph: counted topological sorts, and sorts that are all equally likely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "permutation.hpp"
#include "poset.hpp"
#include "row_set.hpp"

namespace pyorder {

// The sets of steps that may be what has been emitted so far, with the number of ways to get there, for every
// connected part of a graph on its own. Numbers have a fixed count of 64-bit words, the least significant
// first.
class Downsets {
  public:
    // Throws std::length_error when there are more than `limit` sets.
    Downsets(const Poset& poset, std::size_t limit);

    struct Part {
        std::vector<std::uint16_t> steps;
        std::size_t set_words;
        std::size_t count_words;
        std::vector<std::uint64_t> after;  // for every step of the part, the set of those that follow it
        std::vector<RowSet<std::uint64_t>> sets;       // by size
        std::vector<std::vector<std::uint64_t>> ways;  // to each of them

        const std::uint64_t* sorts() const { return ways.back().data(); }
    };

    const std::vector<Part>& parts() const { return parts_; }

    // Topological sorts, all equally likely; row i depends on (seed, i) only.
    void sample(std::size_t count, std::uint64_t seed, std::int64_t* out) const;

  private:
    std::size_t length_;
    std::vector<Part> parts_;
};

}  // namespace pyorder
