// Dependency graphs: directed acyclic graphs on the steps 0..L-1. An edge before -> after says that the first
// step must be emitted before the second one; the closure holds what follows from all edges together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "permutation.hpp"

namespace pyorder {

// A square matrix of bits, each row in whole words.
class BitMatrix {
  public:
    explicit BitMatrix(std::size_t length)
        : length_(length), row_words_((length + 63) / 64), words_(length * row_words_) {}

    std::size_t length() const { return length_; }
    std::size_t row_words() const { return row_words_; }
    std::uint64_t* operator[](std::size_t row) { return words_.data() + row * row_words_; }
    const std::uint64_t* operator[](std::size_t row) const { return words_.data() + row * row_words_; }

    bool test(std::size_t row, std::size_t column) const {
        return ((*this)[row][column / 64] >> column % 64 & 1) != 0;
    }
    void set(std::size_t row, std::size_t column) {
        (*this)[row][column / 64] |= std::uint64_t{1} << column % 64;
    }
    void reset(std::size_t row, std::size_t column) {
        (*this)[row][column / 64] &= ~(std::uint64_t{1} << column % 64);
    }

  private:
    std::size_t length_;
    std::size_t row_words_;
    std::vector<std::uint64_t> words_;
};

struct Edge {
    std::uint16_t before;
    std::uint16_t after;
};

class Poset {
  public:
    explicit Poset(std::size_t length) : edges_(length), closure_(length) {}

    std::size_t length() const { return edges_.length(); }

    // Whether the edges, taken together, ask for `before` to be emitted before `after`.
    bool precedes(std::size_t before, std::size_t after) const { return closure_.test(before, after); }

    // Adds an edge, if it is not there yet. Returns false, and changes nothing, when it would close a cycle.
    bool add(std::size_t before, std::size_t after);

    // Withdraws an edge. Returns false when there is no such edge.
    bool remove(std::size_t before, std::size_t after);

    // The edges as added, and those of them that do not follow from the others; sorted.
    std::vector<Edge> edges() const;
    std::vector<Edge> reduction() const;

    // The steps of a shortest path along edges, from `first` to `last`, which must be one that it precedes.
    std::vector<std::size_t> path(std::size_t first, std::size_t last) const;

  private:
    BitMatrix edges_;
    BitMatrix closure_;
};

// The steps of every connected part of the graph.
std::vector<std::vector<std::uint16_t>> connected_parts(const Poset& poset);

// The share of the edges that each order satisfies, exactly 1 for a topological sort.
template <class Step>
void satisfied(const Poset& poset, Orders<Step> orders, double* out);

}  // namespace pyorder
