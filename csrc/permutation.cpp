#include "permutation.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <stdexcept>
#include <string>

#include "interruption.hpp"
#include "row_set.hpp"

namespace pyorder {
namespace {

// What draws random numbers under one seed does so in a stream of its own, named by letters.
constexpr std::uint64_t sample_stream = 0x73616D706C65;    // "sample"
constexpr std::uint64_t distinct_stream = 0x64697374696E;  // "distin"

constexpr std::size_t max_ranked_length = 20;

// 12! is the last factorial below 2^32: so far, a random choice may list all orders.
constexpr std::size_t max_listed_length = 12;

// The arrangements of the last slots of an order, in lexicographic sequence.
template <std::size_t tail>
constexpr auto arrangements = [] {
    constexpr std::size_t rows = [] {
        std::size_t product = 1;
        for (std::size_t factor = 2; factor <= tail; ++factor) {
            product *= factor;
        }
        return product;
    }();
    std::array<std::array<std::uint8_t, tail>, rows> table{};
    std::array<std::uint8_t, tail> row{};
    for (std::size_t j = 0; j < tail; ++j) {
        row[j] = static_cast<std::uint8_t>(j);
    }
    for (auto& entry : table) {
        entry = row;
        std::next_permutation(row.begin(), row.end());
    }
    return table;
}();

// Only the first slots are advanced one order at a time; the last `tail` slots run through the table.
template <std::size_t tail, class Out>
void enumerate(std::size_t length, std::uint64_t start, std::size_t count, Out* out) {
    const auto& table = arrangements<tail>;
    const std::size_t head = length - tail;
    std::size_t entry = static_cast<std::size_t>(start % table.size());
    const std::uint64_t first = start - entry;
    std::array<Out, max_ranked_length> row{};
    unrank(&first, 1, length, row.data());
    Out* const rest = row.data() + head;

    while (count > 0) {
        const std::size_t stop = entry + std::min(count, table.size() - entry);
        interruption_point(length * table.size());
        count -= stop - entry;
        for (; entry < stop; ++entry, out += length) {
            for (std::size_t j = 0; j < head; ++j) {
                out[j] = row[j];
            }
            for (std::size_t j = 0; j < tail; ++j) {
                out[head + j] = rest[table[entry][j]];
            }
        }
        // From the last arrangement of the rest, the next order has the next head and a sorted rest.
        std::reverse(rest, rest + tail);
        std::next_permutation(row.data(), row.data() + length);
        entry = 0;
    }
}

// The slots that the steps of one order have in another: sequence[j] = the slot of first[j] in second.
template <class Step>
class Relative {
  public:
    explicit Relative(std::size_t length) : slots_(length), sequence_(length) {}

    std::vector<Step>& operator()(const Step* first, const Step* second) {
        for (std::size_t j = 0; j < slots_.size(); ++j) {
            slots_[second[j]] = static_cast<Step>(j);
        }
        for (std::size_t j = 0; j < slots_.size(); ++j) {
            sequence_[j] = slots_[first[j]];
        }
        return sequence_;
    }

  private:
    std::vector<Step> slots_;
    std::vector<Step> sequence_;
};

// The number of pairs that stand the wrong way round; merges the values into `scratch` and back.
template <class Step>
std::uint64_t count_inversions(Step* values, Step* scratch, std::size_t length) {
    std::uint64_t inversions = 0;
    for (std::size_t width = 1; width < length; width *= 2) {
        for (std::size_t begin = 0; begin < length; begin += 2 * width) {
            const std::size_t middle = std::min(begin + width, length);
            const std::size_t end = std::min(middle + width, length);
            std::size_t left = begin;
            std::size_t right = middle;
            for (std::size_t out = begin; out < end; ++out) {
                if (left < middle && (right == end || values[left] < values[right])) {
                    scratch[out] = values[left++];
                } else {
                    scratch[out] = values[right++];
                    inversions += middle - left;
                }
            }
        }
        std::swap(values, scratch);
    }
    return inversions;
}

}  // namespace

std::uint64_t factorial(std::size_t length) {
    if (length > max_ranked_length) {
        throw std::overflow_error("length " + std::to_string(length) +
                                  ": only the orders of up to 20 slots can be counted and ranked in 64 bits");
    }
    std::uint64_t product = 1;
    for (std::size_t factor = 2; factor <= length; ++factor) {
        product *= factor;
    }
    return product;
}

template <class Out>
void lexicographic(std::size_t length, std::uint64_t start, std::size_t count, Out* out) {
    switch (length) {
        case 1:
            return enumerate<1>(length, start, count, out);
        case 2:
            return enumerate<2>(length, start, count, out);
        case 3:
            return enumerate<3>(length, start, count, out);
        case 4:
            return enumerate<4>(length, start, count, out);
        default:
            return enumerate<5>(length, start, count, out);
    }
}

template <class Step>
void rank(Orders<Step> orders, std::uint64_t* out) {
    for (std::size_t i = 0; i < orders.count; ++i) {
        interruption_point(orders.length);
        const Step* row = orders[i];
        std::uint32_t unused = ~std::uint32_t{0};
        std::uint64_t rank = 0;
        for (std::size_t j = 0; j < orders.length; ++j) {
            const std::uint32_t bit = std::uint32_t{1} << row[j];
            const auto smaller = static_cast<unsigned>(std::popcount(unused & (bit - 1)));
            rank = rank * (orders.length - j) + smaller;
            unused ^= bit;
        }
        out[i] = rank;
    }
}

template <class Out>
void unrank(const std::uint64_t* ranks, std::size_t count, std::size_t length, Out* out) {
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(length * length);
        std::uint64_t rank = ranks[i];
        std::array<std::uint8_t, max_ranked_length> row{};
        // From the last slot to the first: slot j takes the digit-th smallest step, and moves up those after
        // it.
        for (std::size_t j = length; j-- > 0;) {
            const auto digit = static_cast<std::uint8_t>(rank % (length - j));
            rank /= length - j;
            row[j] = digit;
            for (std::size_t k = j + 1; k < length; ++k) {
                row[k] = static_cast<std::uint8_t>(row[k] + (row[k] >= digit));
            }
        }
        std::copy_n(row.begin(), length, out + i * length);
    }
}

template <class Out>
void sample(std::size_t length, std::size_t count, std::uint64_t seed, Out* out) {
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(8 * length);
        Philox random(seed, sample_stream, i);
        Out* row = out + i * length;
        std::iota(row, row + length, Out{0});
        shuffle(row, length, random);
    }
}

template <class Step>
std::vector<Step> sample_distinct(std::size_t length, std::size_t count, std::uint64_t seed) {
    if (length <= max_ranked_length && count > factorial(length)) {
        throw std::invalid_argument("count: " + std::to_string(length) + " slots have only " +
                                    std::to_string(factorial(length)) + " different orders, got " +
                                    std::to_string(count));
    }
    if (length <= max_listed_length && factorial(length) <= 2 * count) {
        Philox random(seed, distinct_stream, 0);
        const auto chosen = choose(static_cast<std::uint32_t>(factorial(length)), count, random);
        const std::vector<std::uint64_t> ranks(chosen.begin(), chosen.end());
        std::vector<Step> rows(count * length);
        unrank(ranks.data(), count, length, rows.data());
        return rows;
    }
    // At most half of all orders are wanted (more would not fit in memory from 13 slots on), so an order that
    // is new takes at most two draws on average.
    RowSet<Step> rows(length);
    std::vector<Step> row(length);
    for (std::uint64_t attempt = 0; rows.size() < count; ++attempt) {
        interruption_point(8 * length);
        Philox random(seed, distinct_stream, attempt);
        std::iota(row.begin(), row.end(), Step{0});
        shuffle(row.data(), length, random);
        rows.insert(row.data());
    }
    return std::move(rows).take();
}

template <class Step, class Out>
void compose(Orders<Step> outer, Orders<Step> inner, std::size_t count, Out* out) {
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(inner.length);
        for (std::size_t j = 0; j < inner.length; ++j) {
            *out++ = outer[i][inner[i][j]];
        }
    }
}

template <class Step, class Out>
void invert(Orders<Step> orders, Out* out) {
    for (std::size_t i = 0; i < orders.count; ++i) {
        interruption_point(orders.length);
        for (std::size_t j = 0; j < orders.length; ++j) {
            out[i * orders.length + orders[i][j]] = static_cast<Out>(j);
        }
    }
}

template <class Step>
void kendall_tau(Orders<Step> first, Orders<Step> second, std::size_t count, double* out) {
    const auto length = static_cast<double>(first.length);
    Relative<Step> relative(first.length);
    std::vector<Step> scratch(first.length);
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(16 * first.length);
        auto& sequence = relative(first[i], second[i]);
        const auto inversions = count_inversions(sequence.data(), scratch.data(), first.length);
        out[i] = 1.0 - 4.0 * static_cast<double>(inversions) / (length * (length - 1.0));
    }
}

template <class Step>
void adjacency(Orders<Step> first, Orders<Step> second, std::size_t count, double* out) {
    Relative<Step> relative(first.length);
    for (std::size_t i = 0; i < count; ++i) {
        interruption_point(4 * first.length);
        const auto& sequence = relative(first[i], second[i]);
        std::size_t kept = 0;
        for (std::size_t j = 1; j < first.length; ++j) {
            kept += sequence[j - 1] + 1 == sequence[j];
        }
        out[i] = static_cast<double>(kept) / static_cast<double>(first.length - 1);
    }
}

std::vector<std::uint32_t> choose(std::uint32_t total, std::size_t count, Philox& random) {
    std::vector<std::uint32_t> numbers(total);
    std::iota(numbers.begin(), numbers.end(), 0U);
    for (std::uint32_t i = 0; i < count; ++i) {
        std::swap(numbers[i], numbers[i + random.below(total - i)]);
    }
    numbers.resize(count);
    return numbers;
}

template void lexicographic(std::size_t, std::uint64_t, std::size_t, std::uint8_t*);
template void lexicographic(std::size_t, std::uint64_t, std::size_t, std::int64_t*);
template void rank(Orders<std::uint8_t>, std::uint64_t*);
template void unrank(const std::uint64_t*, std::size_t, std::size_t, std::int64_t*);
template void sample(std::size_t, std::size_t, std::uint64_t, std::int64_t*);
template std::vector<std::uint8_t> sample_distinct(std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint16_t> sample_distinct(std::size_t, std::size_t, std::uint64_t);
template void compose(Orders<std::uint8_t>, Orders<std::uint8_t>, std::size_t, std::int64_t*);
template void compose(Orders<std::uint16_t>, Orders<std::uint16_t>, std::size_t, std::int64_t*);
template void invert(Orders<std::uint8_t>, std::int64_t*);
template void invert(Orders<std::uint16_t>, std::int64_t*);
template void kendall_tau(Orders<std::uint8_t>, Orders<std::uint8_t>, std::size_t, double*);
template void kendall_tau(Orders<std::uint16_t>, Orders<std::uint16_t>, std::size_t, double*);
template void adjacency(Orders<std::uint8_t>, Orders<std::uint8_t>, std::size_t, double*);
template void adjacency(Orders<std::uint16_t>, Orders<std::uint16_t>, std::size_t, double*);

}  // namespace pyorder
