#include "poset.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "interruption.hpp"

namespace pyorder {
namespace {

// Calls visit(column) for every bit that is set in a row, in ascending sequence.
template <class Visit>
void for_each_bit(const std::uint64_t* row, std::size_t words, Visit visit) {
    for (std::size_t word = 0; word < words; ++word) {
        for (std::uint64_t bits = row[word]; bits != 0; bits &= bits - 1) {
            visit(word * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
        }
    }
}

void append_edges(std::size_t before, const std::uint64_t* row, std::size_t words, std::vector<Edge>& edges) {
    for_each_bit(row, words, [&](std::size_t after) {
        edges.push_back({static_cast<std::uint16_t>(before), static_cast<std::uint16_t>(after)});
    });
}

}  // namespace

bool Poset::add(std::size_t before, std::size_t after) {
    if (before == after || precedes(after, before)) {
        return false;
    }
    edges_.set(before, after);
    if (precedes(before, after)) {
        return true;
    }
    const std::uint64_t* added = closure_[after];
    for (std::size_t step = 0; step < length(); ++step) {
        // What follows `after` follows all that come before it; where `after` followed already, that is
        // known.
        if ((step == before || precedes(step, before)) && !precedes(step, after)) {
            std::uint64_t* row = closure_[step];
            for (std::size_t word = 0; word < closure_.row_words(); ++word) {
                row[word] |= added[word];
            }
            closure_.set(step, after);
        }
    }
    return true;
}

bool Poset::remove(std::size_t before, std::size_t after) {
    if (!edges_.test(before, after)) {
        return false;
    }
    edges_.reset(before, after);
    // Only `before` and what precedes it can lose successors. Whoever precedes another step has more
    // successors than it, so by their number, rows are rebuilt from rows that are finished.
    const std::size_t words = closure_.row_words();
    struct Row {
        std::size_t step;
        int successors;
    };
    std::vector<Row> changed;
    for (std::size_t step = 0; step < length(); ++step) {
        if (step == before || precedes(step, before)) {
            const std::uint64_t* row = closure_[step];
            changed.push_back({step, std::accumulate(row, row + words, 0, [](int sum, std::uint64_t word) {
                                   return sum + std::popcount(word);
                               })});
        }
    }
    std::ranges::sort(changed, {}, &Row::successors);
    for (const auto& [step, successors] : changed) {
        std::uint64_t* row = closure_[step];
        std::copy_n(edges_[step], words, row);
        for_each_bit(edges_[step], words, [&](std::size_t next) {
            for (std::size_t word = 0; word < words; ++word) {
                row[word] |= closure_[next][word];
            }
        });
    }
    return true;
}

std::vector<Edge> Poset::edges() const {
    std::vector<Edge> edges;
    for (std::size_t before = 0; before < length(); ++before) {
        append_edges(before, edges_[before], edges_.row_words(), edges);
    }
    return edges;
}

std::vector<Edge> Poset::reduction() const {
    const std::size_t words = edges_.row_words();
    std::vector<Edge> edges;
    std::vector<std::uint64_t> row(words);
    for (std::size_t before = 0; before < length(); ++before) {
        std::copy_n(edges_[before], words, row.begin());
        for_each_bit(edges_[before], words, [&](std::size_t next) {
            interruption_point(words);
            for (std::size_t word = 0; word < words; ++word) {
                row[word] &= ~closure_[next][word];
            }
        });
        append_edges(before, row.data(), words, edges);
    }
    return edges;
}

std::vector<std::size_t> Poset::path(std::size_t first, std::size_t last) const {
    // Breadth first, backwards, so that following `next` leads forwards.
    std::vector<std::size_t> next(length(), length());
    std::vector<std::size_t> reached{last};
    for (std::size_t i = 0; reached[i] != first; ++i) {
        for (std::size_t step = 0; step < length(); ++step) {
            if (edges_.test(step, reached[i]) && next[step] == length()) {
                next[step] = reached[i];
                reached.push_back(step);
            }
        }
    }
    std::vector<std::size_t> steps{first};
    while (steps.back() != last) {
        steps.push_back(next[steps.back()]);
    }
    return steps;
}

std::vector<std::vector<std::uint16_t>> connected_parts(const Poset& poset) {
    std::vector<std::size_t> part(poset.length());
    std::iota(part.begin(), part.end(), std::size_t{0});
    const auto root = [&](std::size_t step) {
        while (part[step] != step) step = part[step] = part[part[step]];
        return step;
    };
    for (const auto& [before, after] : poset.edges()) part[root(before)] = root(after);
    std::vector<std::vector<std::uint16_t>> parts(poset.length());
    for (std::size_t step = 0; step < poset.length(); ++step) {
        parts[root(step)].push_back(static_cast<std::uint16_t>(step));
    }
    std::erase_if(parts, [](const auto& steps) { return steps.empty(); });
    return parts;
}

template <class Step>
void satisfied(const Poset& poset, Orders<Step> orders, double* out) {
    const auto edges = poset.edges();
    std::vector<Step> slots(orders.length);
    for (std::size_t i = 0; i < orders.count; ++i) {
        interruption_point(orders.length + edges.size());
        for (std::size_t j = 0; j < orders.length; ++j) {
            slots[orders[i][j]] = static_cast<Step>(j);
        }
        const auto count = std::ranges::count_if(
            edges, [&](const Edge& edge) { return slots[edge.before] < slots[edge.after]; });
        out[i] = edges.empty() ? 1.0 : static_cast<double>(count) / static_cast<double>(edges.size());
    }
}

template void satisfied(const Poset&, Orders<std::uint8_t>, double*);
template void satisfied(const Poset&, Orders<std::uint16_t>, double*);

}  // namespace pyorder
