// Neighbourhoods of orders. A move rearranges slots, whatever steps stand there, so it is given as
// arrangements: rows of slots, to be composed with an order: result[j] = order[arrangement[j]]. No row occurs
// twice, unless it says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "permutation.hpp"

namespace pyorder {

// The first slots of `blocks` near-equal blocks, the larger ones first, and `length` at the end.
std::vector<std::size_t> block_bounds(std::size_t length, std::size_t blocks);

// All blocks! rearrangements of the near-equal blocks of every order; what came before is left out.
// These rows are orders, not arrangements, since different orders can meet. At most 20 blocks.
template <class Step>
std::vector<Step> block_rearrangements(Orders<Step> orders, std::size_t blocks);

// Below, blocks have `block_size` slots and a shorter last one takes the remainder.

// The unmoved slots, then all other arrangements inside one block, block by block, in lexicographic sequence.
template <class Step>
std::vector<Step> within_blocks(std::size_t length, std::size_t block_size);

// The unmoved slots and limit - 1 others out of within_blocks, all choices equally likely; all of them when
// there are no more than `limit`.
template <class Step>
std::vector<Step> sample_within_blocks(std::size_t length, std::size_t block_size, std::size_t limit,
                                       std::uint64_t seed);

// The same rearrangement in every block at once, a shorter last block as it is: the unmoved slots, then all
// others in lexicographic sequence; or, when there are more than `limit`, limit - 1 of the others in random
// sequence, all choices equally likely.
template <class Step>
std::vector<Step> within_every_block(std::size_t length, std::size_t block_size, std::size_t limit,
                                     std::uint64_t seed);

// The rearrangements of the sequence of blocks, a shorter last one among them; with a limit as above.
template <class Step>
std::vector<Step> permuted_blocks(std::size_t length, std::size_t block_size, std::size_t limit,
                                  std::uint64_t seed);

// The rotations of the sequence of blocks: row r begins with block r.
template <class Step>
std::vector<Step> between_blocks(std::size_t length, std::size_t block_size);

// All exchanges of slots i < j, in lexicographic sequence of (i, j).
template <class Step>
std::vector<Step> swaps(std::size_t length);

// All exchanges of two neighbouring runs [a, b) and [b, c), one of which has at most `max_size` slots, in
// lexicographic sequence of (a, b, c).
template <class Step>
std::vector<Step> block_moves(std::size_t length, std::size_t max_size);

// Random neighbours of one order, which may occur twice: a swap, a move of one slot or a block move, in equal
// shares, and each kind's results equally likely; row i depends on (seed, i) only. L >= 2.
template <class Step, class Out>
void sample_neighbours(const Step* order, std::size_t length, std::size_t count, std::uint64_t seed,
                       Out* out);

}  // namespace pyorder
