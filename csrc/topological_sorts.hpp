// Topological sorts of a dependency graph: how many there are, all of them, random ones, and those near to
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "permutation.hpp"
#include "poset.hpp"

namespace pyorder {

// Random topological sorts, each step drawn uniformly among those that may come next; row i depends on
// (seed, i) only. `log_weights`, if given, takes the logarithm of one over each row's probability.
void sample_sorts(const Poset& poset, std::size_t count, std::uint64_t seed, std::int64_t* out,
                  double* log_weights = nullptr);

// The number of topological sorts, or `most`, below 2^63, where there are as many or more. Of sets of steps
// that may have been emitted it never keeps more than `most` of a size, and two sizes.
std::uint64_t count_sorts_up_to(const Poset& poset, std::uint64_t most);

// All topological sorts in lexicographic sequence. Throws std::length_error when there are more than `limit`.
std::vector<std::uint16_t> all_sorts(const Poset& poset, std::size_t limit);

// The topological sorts that differ from `sort`, which is one, in the sequence of at most `distance` pairs of
// steps: `sort` first, then by distance. Throws std::length_error when there are more than `limit`.
template <class Step>
std::vector<Step> sorts_near(const Poset& poset, const Step* sort, std::size_t distance, std::size_t limit);

// Random topological sorts after `moves` moves each of the chain of Bubley and Dyer ("Faster random
// generation of linear extensions", 1999), begun at the rows of sample_sorts; row i depends on (seed, i)
// only.
void walk_sorts(const Poset& poset, std::size_t count, std::uint64_t seed, std::uint64_t moves,
                std::int64_t* out);

}  // namespace pyorder
