// Linear ordering: given what it is worth to emit one step before another, find the order worth most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "permutation.hpp"

namespace pyorder {

// Weights are (L, L), row-major and finite; weights[p][i] is earned when p comes before i. The diagonal is
// never read.

inline constexpr std::size_t max_exact_length = 16;

// The sum of weights[order[a]][order[b]] over slots a < b, for each order.
template <class Step>
void linear_ordering_value(const double* weights, Orders<Step> orders, double* out);

// An order of high value: the best of `restarts` >= 1 searches, of which search r depends on (seed, r) only.
std::vector<std::uint16_t> solve_linear_ordering(const double* weights, std::size_t length,
                                                 std::size_t restarts, std::uint64_t seed);

// An order of the highest value. Up to 16 slots: it takes 2^L numbers.
std::vector<std::uint16_t> solve_linear_ordering_exactly(const double* weights, std::size_t length);

}  // namespace pyorder
