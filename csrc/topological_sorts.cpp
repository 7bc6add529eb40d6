#include "topological_sorts.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "interruption.hpp"
#include "row_set.hpp"
#include "step_set.hpp"

namespace pyorder {
namespace {

// See permutation.cpp.
constexpr std::uint64_t sorts_stream = 0x736F727473;  // "sorts"
constexpr std::uint64_t walk_stream = 0x77616C6B;     // "walk"

// The reduction as lists of the steps that come next.
struct Covers {
    explicit Covers(const Poset& poset)
        : edges(poset.reduction()), first(poset.length() + 1, 0), predecessors(poset.length(), 0) {
        for (const auto& [before, after] : edges) {  // sorted by `before`
            ++first[before + std::size_t{1}];
            ++predecessors[after];
        }
        std::partial_sum(first.begin(), first.end(), first.begin());
    }

    // Calls visit(step) for every step that comes next after `step`.
    template <class Visit>
    void for_each(std::size_t step, Visit visit) const {
        for (std::size_t edge = first[step]; edge < first[step + 1]; ++edge) {
            visit(std::size_t{edges[edge].after});
        }
    }

    std::vector<Edge> edges;
    std::vector<std::size_t> first;
    std::vector<std::uint16_t> predecessors;
};

// n over k, or `most` where it is that or more. n < 2^16 and most < 2^63, so that no product passes 128 bits.
std::uint64_t choices_up_to(std::size_t n, std::size_t k, std::uint64_t most) {
    unsigned __int128 choices = 1;
    k = std::min(k, n - k);
    for (std::size_t i = 1; i <= k && choices < most; ++i) {
        choices = choices * (n - k + i) / i;  // n - k + i over i, which grows with i
    }
    return static_cast<std::uint64_t>(std::min<unsigned __int128>(choices, most));
}

std::uint64_t product_up_to(std::uint64_t one, std::uint64_t other, std::uint64_t most) {
    const unsigned __int128 product = static_cast<unsigned __int128>(one) * other;
    return static_cast<std::uint64_t>(std::min<unsigned __int128>(product, most));
}

// The sorts of one connected part, as far as `most`. Every way to begin a sort can be completed, so as soon
// as there are `most` ways to emit the first few steps, there are that many sorts.
std::uint64_t count_part_up_to(const Covers& covers, const std::vector<std::vector<std::uint16_t>>& needed,
                               const std::vector<std::uint16_t>& steps, std::uint64_t most) {
    const std::size_t size = steps.size();
    const std::size_t words = words_for(size);
    std::vector<std::size_t> place(needed.size());  // of a step in its part
    for (std::size_t i = 0; i < size; ++i) place[steps[i]] = i;

    struct Layer {
        explicit Layer(std::size_t set_words) : sets(set_words) {}
        RowSet<std::uint64_t> sets;        // of emitted steps
        std::vector<std::uint64_t> ready;  // for each of them, the set of the steps that may come next
        std::vector<std::uint64_t> ways;   // to each of them
    };
    std::vector<std::uint64_t> set(words, 0);
    Layer layer(words);
    layer.sets.insert(set.data());
    layer.ready = set;
    for (std::size_t i = 0; i < size; ++i) {
        if (needed[steps[i]].empty()) flip(layer.ready.data(), i);
    }
    layer.ways = {1};
    std::uint64_t total = 1;
    for (std::size_t emitted = 0; emitted < size && total < most; ++emitted) {
        Layer larger(words);
        total = 0;
        for (std::size_t index = 0; index < layer.sets.size(); ++index) {
            interruption_point(size * words);
            std::copy_n(layer.sets[index], words, set.begin());
            const std::uint64_t* ready = &layer.ready[index * words];
            for (std::size_t word = 0; word < words; ++word) {
                for (std::uint64_t bits = ready[word]; bits != 0; bits &= bits - 1) {
                    const std::size_t next = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
                    flip(set.data(), next);
                    if (larger.sets.insert(set.data())) {
                        const std::size_t begin = larger.ready.size();
                        larger.ready.insert(larger.ready.end(), ready, ready + words);
                        flip(&larger.ready[begin], next);
                        covers.for_each(steps[next], [&](std::size_t after) {
                            const auto emitted_too = [&](std::size_t step) {
                                return has(set.data(), place[step]);
                            };
                            if (std::ranges::all_of(needed[after], emitted_too)) {
                                flip(&larger.ready[begin], place[after]);
                            }
                        });
                        larger.ways.push_back(0);
                    }
                    larger.ways[larger.sets.find(set.data())] += layer.ways[index];
                    total += layer.ways[index];  // both below `most` before
                    if (total >= most) return most;
                    flip(set.data(), next);
                }
            }
        }
        layer = std::move(larger);
    }
    return std::min(total, most);
}

}  // namespace

void sample_sorts(const Poset& poset, std::size_t count, std::uint64_t seed, std::int64_t* out,
                  double* log_weights) {
    const std::size_t length = poset.length();
    const Covers covers(poset);
    std::vector<std::uint16_t> sources;
    for (std::size_t step = 0; step < length; ++step) {
        if (covers.predecessors[step] == 0) {
            sources.push_back(static_cast<std::uint16_t>(step));
        }
    }

    std::vector<std::uint16_t> missing(length);    // predecessors that a step still waits for
    std::vector<std::uint16_t> available(length);  // steps that wait for none
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(4 * length);
        Philox random(seed, sorts_stream, i);
        std::copy(covers.predecessors.begin(), covers.predecessors.end(), missing.begin());
        std::copy(sources.begin(), sources.end(), available.begin());
        std::size_t size = sources.size();
        double log_weight = 0;
        for (std::size_t j = 0; j < length; ++j) {
            log_weight += log_weights == nullptr ? 0 : std::log(static_cast<double>(size));
            const std::size_t choice = random.below(static_cast<std::uint32_t>(size));
            const std::size_t step = available[choice];
            available[choice] = available[--size];
            *out++ = static_cast<std::int64_t>(step);
            covers.for_each(step, [&](std::size_t next) {
                if (--missing[next] == 0) {
                    available[size++] = static_cast<std::uint16_t>(next);
                }
            });
        }
        if (log_weights != nullptr) {
            log_weights[i] = log_weight;
        }
    }
}

std::uint64_t count_sorts_up_to(const Poset& poset, std::uint64_t most) {
    const auto parts = connected_parts(poset);
    // The ways to interleave the parts cost nothing to count, and can be enough.
    std::uint64_t count = 1;
    std::size_t placed = 0;
    for (const auto& steps : parts) {
        placed += steps.size();
        count = product_up_to(count, choices_up_to(placed, steps.size(), most), most);
        if (count >= most) return most;
    }
    const Covers covers(poset);
    std::vector<std::vector<std::uint16_t>> needed(poset.length());
    for (const auto& [before, after] : covers.edges) needed[after].push_back(before);
    for (const auto& steps : parts) {
        count =
            product_up_to(count, count_part_up_to(covers, needed, steps, (most + count - 1) / count), most);
        if (count >= most) return most;
    }
    return count;
}

std::vector<std::uint16_t> all_sorts(const Poset& poset, std::size_t limit) {
    const std::size_t length = poset.length();
    const Covers covers(poset);
    auto missing = covers.predecessors;
    std::vector<std::uint64_t> available(words_for(length), 0);
    for (std::size_t step = 0; step < length; ++step) {
        if (missing[step] == 0) flip(available.data(), step);
    }
    // The smallest step from `from` on that may come next, or L.
    const auto next_available = [&](std::size_t from) {
        while (from < length && !has(available.data(), from)) {
            const std::uint64_t rest = available[from / 64] >> from % 64;
            from = rest != 0 ? from + static_cast<std::size_t>(std::countr_zero(rest)) : (from / 64 + 1) * 64;
        }
        return std::min(from, length);
    };
    std::vector<std::uint16_t> sorts;
    std::vector<std::uint16_t> emitted;
    std::size_t from = 0;
    while (true) {
        interruption_point(8);
        const std::size_t step = next_available(from);
        if (step < length) {
            emitted.push_back(static_cast<std::uint16_t>(step));
            flip(available.data(), step);
            covers.for_each(step, [&](std::size_t next) {
                if (--missing[next] == 0) flip(available.data(), next);
            });
            if (emitted.size() < length) {
                from = 0;
                continue;
            }
            if (sorts.size() / length == limit) refuse("topological sorts", limit);
            sorts.insert(sorts.end(), emitted.begin(), emitted.end());
        }
        if (emitted.empty()) {
            return sorts;
        }
        const std::size_t withdrawn = emitted.back();
        emitted.pop_back();
        covers.for_each(withdrawn, [&](std::size_t next) {
            if (missing[next]++ == 0) flip(available.data(), next);
        });
        flip(available.data(), withdrawn);
        from = withdrawn + 1;
    }
}

template <class Step>
std::vector<Step> sorts_near(const Poset& poset, const Step* sort, std::size_t distance, std::size_t limit) {
    // Two sorts that differ in d pairs are d exchanges of neighbouring slots apart, through sorts only: in
    // any sort some neighbours are in the other sequence than in the goal, and then no edge holds them.
    const std::size_t length = poset.length();
    RowSet<Step> found(length);
    found.insert(sort);
    std::vector<Step> row(length);
    std::size_t begin = 0;
    for (std::size_t away = 0; away < distance && begin < found.size(); ++away) {
        const std::size_t end = found.size();
        for (; begin < end; ++begin) {
            interruption_point(length * length);
            std::copy_n(found[begin], length, row.begin());
            for (std::size_t j = 0; j + 1 < length; ++j) {
                if (poset.precedes(row[j], row[j + 1])) {
                    continue;
                }
                std::swap(row[j], row[j + 1]);
                if (found.insert(row.data()) && found.size() > limit) refuse("such sorts", limit);
                std::swap(row[j], row[j + 1]);
            }
        }
    }
    return std::move(found).take();
}

template std::vector<std::uint8_t> sorts_near(const Poset&, const std::uint8_t*, std::size_t, std::size_t);
template std::vector<std::uint16_t> sorts_near(const Poset&, const std::uint16_t*, std::size_t, std::size_t);

void walk_sorts(const Poset& poset, std::size_t count, std::uint64_t seed, std::uint64_t moves,
                std::int64_t* out) {
    sample_sorts(poset, count, seed, out);
    const std::size_t length = poset.length();
    const auto ends = static_cast<std::uint32_t>(length + 1);
    for (std::size_t i = 0; i < count && length > 1; ++i, out += length) {
        Philox random(seed, walk_stream, i);
        for (std::uint64_t move = 0; move < moves;) {
            // Slots p - 1 and p with a probability in proportion to p (L - p), as often as three different
            // numbers from 0..L have p in the middle.
            std::uint32_t low = random.below(ends);
            std::uint32_t middle = random.below(ends);
            std::uint32_t high = random.below(ends);
            if (low == middle || middle == high || low == high) {
                continue;
            }
            if (low > middle) std::swap(low, middle);
            if (middle > high) std::swap(middle, high);
            middle = std::max(low, middle);
            ++move;
            if (move % 1024 == 0) interruption_point(4 * 1024);
            const bool exchange = (random.next32() & 1) != 0;
            std::int64_t& first = out[middle - 1];
            std::int64_t& second = out[middle];
            if (exchange &&
                !poset.precedes(static_cast<std::size_t>(first), static_cast<std::size_t>(second))) {
                std::swap(first, second);
            }
        }
    }
}

}  // namespace pyorder
