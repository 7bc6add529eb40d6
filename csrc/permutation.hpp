// Orders: permutations of 0..L-1, stored row by row. Slot j of an order holds the step emitted there.
//
// Orders come in as compact steps, uint8 up to 255 slots and uint16 above, and go out as any integer type:
// int64 for Python, where a uint8 array used as an index can mean a mask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "interruption.hpp"
#include "random.hpp"

namespace pyorder {

inline constexpr std::size_t max_byte_length = 255;
inline constexpr std::size_t max_length = 65'535;

// A view of `count` orders of `length` slots. A single order stands for as many equal rows as are asked for.
template <class Step>
struct Orders {
    const Step* steps;
    std::size_t count;
    std::size_t length;

    const Step* operator[](std::size_t row) const { return steps + (count == 1 ? 0 : row * length); }
};

// L!, the number of orders of L slots. Throws std::overflow_error above 20 slots, where it passes 64 bits.
std::uint64_t factorial(std::size_t length);

// The first row that is not a permutation of 0..L-1, or `count` when all are. Rows before it are copied to
// `copy`, if there is one. Every value is read once (volatile), so that no other thread can change one
// between the check and the copy.
template <class Step, class Value>
std::size_t first_invalid(const Value* values, std::size_t count, std::size_t length, Step* copy) {
    std::vector<std::size_t> seen(length, 0);  // the last row (counted from one) that holds a step
    for (std::size_t row = 0; row < count; ++row) {
        interruption_point(length);
        for (std::size_t j = 0; j < length; ++j) {
            const std::size_t place = row * length + j;
            const Value value = static_cast<const volatile Value*>(values)[place];
            const auto step = static_cast<std::uint64_t>(value);  // negative ones turn huge
            if (step >= length || seen[step] == row + 1) {
                return row;
            }
            seen[step] = row + 1;
            if (copy != nullptr) copy[place] = static_cast<Step>(step);
        }
    }
    return count;
}

// Writes the orders of lexicographic ranks start .. start + count - 1. Up to 20 slots.
template <class Out>
void lexicographic(std::size_t length, std::uint64_t start, std::size_t count, Out* out);

// Lexicographic ranks of orders, and the orders of ranks. Up to 20 slots.
template <class Step>
void rank(Orders<Step> orders, std::uint64_t* out);
template <class Out>
void unrank(const std::uint64_t* ranks, std::size_t count, std::size_t length, Out* out);

// Uniformly random orders; row i depends on (seed, i) only.
template <class Out>
void sample(std::size_t length, std::size_t count, std::uint64_t seed, Out* out);

// Uniformly random orders, no two equal, in random sequence. Throws std::invalid_argument when count > L!.
template <class Step>
std::vector<Step> sample_distinct(std::size_t length, std::size_t count, std::uint64_t seed);

// out[i][j] = outer[i][inner[i][j]], for `count` rows.
template <class Step, class Out>
void compose(Orders<Step> outer, Orders<Step> inner, std::size_t count, Out* out);

// out[i][orders[i][j]] = j.
template <class Step, class Out>
void invert(Orders<Step> orders, Out* out);

// Kendall's rank correlation of the slots that two orders give to the steps, for `count` rows. L >= 2.
template <class Step>
void kendall_tau(Orders<Step> first, Orders<Step> second, std::size_t count, double* out);

// The share of the L - 1 neighbours of `first` that also follow each other in `second`. L >= 2.
template <class Step>
void adjacency(Orders<Step> first, Orders<Step> second, std::size_t count, double* out);

// Shuffles values in place, all arrangements equally likely.
template <class Value>
void shuffle(Value* values, std::size_t length, Philox& random) {
    for (std::size_t j = length; j > 1; --j) {
        std::swap(values[j - 1], values[random.below(static_cast<std::uint32_t>(j))]);
    }
}

// A uniformly random choice of `count` different numbers below `total`, in random sequence.
std::vector<std::uint32_t> choose(std::uint32_t total, std::size_t count, Philox& random);

}  // namespace pyorder
