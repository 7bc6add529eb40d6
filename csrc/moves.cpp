#include "moves.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>
#include <utility>

#include "interruption.hpp"
#include "row_set.hpp"

namespace pyorder {
namespace {

// See permutation.cpp.
constexpr std::uint64_t within_stream = 0x77697468696E;     // "within"
constexpr std::uint64_t neighbour_stream = 0x6E6569676862;  // "neighb"

// Up to 12 slots a block, the arrangements can be counted (and those of one block, listed) in 32 bits.
constexpr std::size_t max_listed_size = 12;

// Up to 20 items, the arrangements can be counted in 64 bits.
constexpr std::size_t max_counted_items = 20;

template <class Step>
std::vector<Step> unmoved(std::size_t length) {
    std::vector<Step> slots(length);
    std::iota(slots.begin(), slots.end(), Step{0});
    return slots;
}

template <class Step>
void append(std::vector<Step>& rows, const std::vector<Step>& row) {
    rows.insert(rows.end(), row.begin(), row.end());
}

// How many rows within_blocks has, for blocks of at most 12 slots.
std::uint64_t count_within_blocks(std::size_t length, std::size_t block_size) {
    return 1 + length / block_size * (factorial(block_size) - 1) + (factorial(length % block_size) - 1);
}

// Chooses among all arrangements, for when a good part of them is wanted.
template <class Step>
std::vector<Step> choose_within_blocks(std::size_t length, std::size_t block_size, std::size_t limit,
                                       Philox random) {
    const auto all = within_blocks<Step>(length, block_size);
    const std::size_t moved = all.size() / length - 1;
    std::vector<Step> rows(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(length));
    rows.reserve(limit * length);
    for (const auto index :
         choose(static_cast<std::uint32_t>(moved), std::min<std::size_t>(limit - 1, moved), random)) {
        const Step* row = all.data() + (index + 1) * length;
        rows.insert(rows.end(), row, row + length);
    }
    return rows;
}

// The unmoved items, then all other arrangements of them in lexicographic sequence; or, when there are more
// than `limit`, limit - 1 of the others in random sequence, all choices equally likely.
template <class Step>
std::vector<Step> some_arrangements(std::size_t items, std::size_t limit, std::uint64_t seed) {
    auto row = unmoved<Step>(items);
    auto rows = row;
    if (items <= max_counted_items && factorial(items) <= limit) {
        while (std::next_permutation(row.begin(), row.end())) {
            interruption_point(items);
            append(rows, row);
        }
        return rows;
    }
    // Without the unmoved items, what is left of a random choice is a random choice of the others.
    const auto drawn = sample_distinct<Step>(items, limit, seed);
    for (auto next = drawn.begin(); next != drawn.end() && rows.size() < limit * items;) {
        const auto end = next + static_cast<std::ptrdiff_t>(items);
        if (!std::equal(next, end, row.begin())) rows.insert(rows.end(), next, end);
        next = end;
    }
    return rows;
}

// Exchanges two different slots, all pairs equally likely.
template <class Out>
void swap_at_random(Out* row, std::uint32_t length, Philox& random) {
    const std::uint32_t i = random.below(length);
    const std::uint32_t j = random.below(length - 1);
    std::swap(row[i], row[j + (j >= i)]);
}

// Takes slot `from` out and puts it in as slot `to`. Neighbours are exchanged in two ways, one of which is
// not drawn: so all results are equally likely.
template <class Out>
void insert_at_random(Out* row, std::uint32_t length, Philox& random) {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    do {
        from = random.below(length);
        to = random.below(length);
    } while (from == to || from == to + 1);
    if (from < to) {
        std::rotate(row + from, row + from + 1, row + to + 1);
    } else {
        std::rotate(row + to, row + from, row + from + 1);
    }
}

// Exchanges the runs [a, b) and [b, c), all 0 <= a < b < c <= length equally likely.
template <class Out>
void move_block_at_random(Out* row, std::uint32_t length, Philox& random) {
    std::array<std::uint32_t, 3> ends{};
    do {
        for (auto& end : ends) end = random.below(length + 1);
        std::ranges::sort(ends);
    } while (ends[0] == ends[1] || ends[1] == ends[2]);
    std::rotate(row + ends[0], row + ends[1], row + ends[2]);
}

}  // namespace

std::vector<std::size_t> block_bounds(std::size_t length, std::size_t blocks) {
    std::vector<std::size_t> bounds(blocks + 1, 0);
    for (std::size_t block = 0; block < blocks; ++block) {
        bounds[block + 1] = bounds[block] + length / blocks + (block < length % blocks);
    }
    return bounds;
}

template <class Step>
std::vector<Step> block_rearrangements(Orders<Step> orders, std::size_t blocks) {
    const auto bounds = block_bounds(orders.length, blocks);
    std::vector<std::size_t> sequence(blocks);
    std::vector<Step> row(orders.length);
    RowSet<Step> rows(orders.length);
    for (std::size_t i = 0; i < orders.count; ++i) {
        std::iota(sequence.begin(), sequence.end(), std::size_t{0});
        do {
            interruption_point(orders.length);
            Step* end = row.data();
            for (const std::size_t block : sequence) {
                end = std::copy(orders[i] + bounds[block], orders[i] + bounds[block + 1], end);
            }
            rows.insert(row.data());
        } while (std::next_permutation(sequence.begin(), sequence.end()));
    }
    return std::move(rows).take();
}

template <class Step>
std::vector<Step> within_blocks(std::size_t length, std::size_t block_size) {
    auto row = unmoved<Step>(length);
    auto rows = row;
    for (std::size_t begin = 0; begin < length; begin += block_size) {
        Step* const first = row.data() + begin;
        Step* const last = row.data() + std::min(begin + block_size, length);
        while (std::next_permutation(first, last)) {
            interruption_point(length);
            append(rows, row);
        }  // the last arrangement is followed by the first: the block is in place again
    }
    return rows;
}

template <class Step>
std::vector<Step> sample_within_blocks(std::size_t length, std::size_t block_size, std::size_t limit,
                                       std::uint64_t seed) {
    if (block_size <= max_listed_size) {
        const auto count = count_within_blocks(length, block_size);
        if (count <= 2 * limit && count <= UINT32_MAX) {
            return choose_within_blocks<Step>(length, block_size, limit, Philox(seed, within_stream, 0));
        }
    }
    const auto blocks = static_cast<std::uint32_t>((length + block_size - 1) / block_size);
    const auto base = unmoved<Step>(length);
    RowSet<Step> rows(length);
    rows.insert(base.data());
    for (std::uint64_t attempt = 0; rows.size() < limit; ++attempt) {
        interruption_point(length);
        Philox random(seed, within_stream, attempt);
        const std::size_t begin = random.below(blocks) * block_size;
        const std::size_t size = std::min(block_size, length - begin);
        // A shorter block counts as a whole one whose missing slots must stay in place: so every arrangement,
        // in whichever block, is drawn equally often.
        std::size_t missing = block_size;
        while (missing > size && random.below(static_cast<std::uint32_t>(missing)) == missing - 1) {
            --missing;
        }
        if (missing > size) {
            continue;
        }
        auto row = base;
        shuffle(row.data() + begin, size, random);
        rows.insert(row.data());
    }
    return std::move(rows).take();
}

template <class Step>
std::vector<Step> within_every_block(std::size_t length, std::size_t block_size, std::size_t limit,
                                     std::uint64_t seed) {
    const auto inside = some_arrangements<Step>(block_size, limit, seed);
    const std::size_t whole = length / block_size * block_size;
    auto row = unmoved<Step>(length);
    std::vector<Step> rows;
    rows.reserve(inside.size() / block_size * length);
    for (std::size_t first = 0; first < inside.size(); first += block_size) {
        interruption_point(length);
        for (std::size_t slot = 0; slot < whole; ++slot) {
            const std::size_t place = slot % block_size;
            row[slot] = static_cast<Step>(slot - place + inside[first + place]);
        }
        append(rows, row);
    }
    return rows;
}

template <class Step>
std::vector<Step> permuted_blocks(std::size_t length, std::size_t block_size, std::size_t limit,
                                  std::uint64_t seed) {
    const std::size_t blocks = (length + block_size - 1) / block_size;
    const auto sequences = some_arrangements<Step>(blocks, limit, seed);
    std::vector<Step> rows;
    rows.reserve(sequences.size() / blocks * length);
    for (const std::size_t block : sequences) {
        const std::size_t begin = block * block_size;
        interruption_point(block_size);
        for (std::size_t slot = begin; slot < std::min(begin + block_size, length); ++slot) {
            rows.push_back(static_cast<Step>(slot));
        }
    }
    return rows;
}

template <class Step>
std::vector<Step> between_blocks(std::size_t length, std::size_t block_size) {
    auto row = unmoved<Step>(length);
    std::vector<Step> rows;
    for (std::size_t begin = 0; begin < length; begin += block_size) {
        std::rotate_copy(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(begin), row.end(),
                         std::back_inserter(rows));
    }
    return rows;
}

template <class Step>
std::vector<Step> swaps(std::size_t length) {
    auto row = unmoved<Step>(length);
    std::vector<Step> rows;
    rows.reserve(length * (length - 1) / 2 * length);
    for (std::size_t i = 0; i < length; ++i) {
        for (std::size_t j = i + 1; j < length; ++j) {
            interruption_point(length);
            std::swap(row[i], row[j]);
            append(rows, row);
            std::swap(row[i], row[j]);
        }
    }
    return rows;
}

template <class Step>
std::vector<Step> block_moves(std::size_t length, std::size_t max_size) {
    const auto base = unmoved<Step>(length);
    auto row = base;
    std::vector<Step> rows;
    // Moving [a, b) behind [b, c) is moving [b, c) before [a, b); the result differs from the unmoved slots
    // first at a, where b stands, and last at c - 1. So every (a, b, c) gives another result.
    for (std::size_t a = 0; a < length; ++a) {
        for (std::size_t b = a + 1; b < length; ++b) {
            const std::size_t last = b - a <= max_size ? length : std::min(b + max_size, length);
            for (std::size_t c = b + 1; c <= last; ++c) {
                interruption_point(length);
                std::rotate_copy(base.data() + a, base.data() + b, base.data() + c, row.data() + a);
                append(rows, row);
            }
            std::copy(base.begin() + static_cast<std::ptrdiff_t>(a), base.end(),
                      row.begin() + static_cast<std::ptrdiff_t>(a));
        }
    }
    return rows;
}

template <class Step, class Out>
void sample_neighbours(const Step* order, std::size_t length, std::size_t count, std::uint64_t seed,
                       Out* out) {
    const auto slots = static_cast<std::uint32_t>(length);
    for (std::size_t i = 0; i < count; ++i, out += length) {
        interruption_point(length);
        Philox random(seed, neighbour_stream, i);
        std::copy_n(order, length, out);
        switch (random.below(3)) {
            case 0:
                swap_at_random(out, slots, random);
                break;
            case 1:
                insert_at_random(out, slots, random);
                break;
            default:
                move_block_at_random(out, slots, random);
        }
    }
}

template std::vector<std::uint8_t> block_rearrangements(Orders<std::uint8_t>, std::size_t);
template std::vector<std::uint16_t> block_rearrangements(Orders<std::uint16_t>, std::size_t);
template std::vector<std::uint8_t> within_blocks(std::size_t, std::size_t);
template std::vector<std::uint16_t> within_blocks(std::size_t, std::size_t);
template std::vector<std::uint8_t> sample_within_blocks(std::size_t, std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint16_t> sample_within_blocks(std::size_t, std::size_t, std::size_t,
                                                         std::uint64_t);
template std::vector<std::uint8_t> within_every_block(std::size_t, std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint16_t> within_every_block(std::size_t, std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint8_t> permuted_blocks(std::size_t, std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint16_t> permuted_blocks(std::size_t, std::size_t, std::size_t, std::uint64_t);
template std::vector<std::uint8_t> between_blocks(std::size_t, std::size_t);
template std::vector<std::uint16_t> between_blocks(std::size_t, std::size_t);
template std::vector<std::uint8_t> swaps(std::size_t);
template std::vector<std::uint16_t> swaps(std::size_t);
template std::vector<std::uint8_t> block_moves(std::size_t, std::size_t);
template std::vector<std::uint16_t> block_moves(std::size_t, std::size_t);
template void sample_neighbours(const std::uint8_t*, std::size_t, std::size_t, std::uint64_t, std::int64_t*);
template void sample_neighbours(const std::uint16_t*, std::size_t, std::size_t, std::uint64_t, std::int64_t*);

}  // namespace pyorder
