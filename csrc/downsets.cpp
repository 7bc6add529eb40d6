#include "downsets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "interruption.hpp"
#include "step_set.hpp"

namespace pyorder {
namespace {

constexpr std::uint64_t uniform_stream = 0x756E69666F72;  // "unifor"; see permutation.cpp

using Number = std::vector<std::uint64_t>;  // the least significant word first

void add(std::uint64_t* sum, const std::uint64_t* number, std::size_t words) {
    unsigned __int128 carry = 0;
    for (std::size_t word = 0; word < words; ++word) {
        carry += sum[word];
        carry += number[word];
        sum[word] = static_cast<std::uint64_t>(carry);
        carry >>= 64;
    }
}

bool less(const std::uint64_t* one, const std::uint64_t* other, std::size_t words) {
    for (std::size_t word = words; word-- > 0;) {
        if (one[word] != other[word]) {
            return one[word] < other[word];
        }
    }
    return false;
}

void subtract(std::uint64_t* from, const std::uint64_t* number, std::size_t words) {
    std::uint64_t borrow = 0;
    for (std::size_t word = 0; word < words; ++word) {
        const unsigned __int128 taken = static_cast<unsigned __int128>(number[word]) + borrow;
        borrow = from[word] < taken ? 1 : 0;
        from[word] = static_cast<std::uint64_t>(from[word] - taken);
    }
}

// Uniform in [0, bound): draws as many bits as the bound has until they are below it.
Number draw_below(const std::uint64_t* bound, std::size_t words, Philox& random) {
    Number drawn(words, 0);
    std::size_t used = words;
    while (used > 1 && bound[used - 1] == 0) --used;
    const std::uint64_t mask = ~std::uint64_t{0} >> std::countl_zero(bound[used - 1]);
    do {
        for (std::size_t word = 0; word < used; ++word) drawn[word] = random.next();
        drawn[used - 1] &= mask;
    } while (!less(drawn.data(), bound, words));
    return drawn;
}

// Words that hold size!, and with it every number of sorts of so many steps.
std::size_t words_for_sorts(std::size_t size) {
    return words_for(static_cast<std::size_t>(std::lgamma(static_cast<double>(size) + 1) / std::log(2.0)) +
                     2);
}

Downsets::Part count_part(const Poset& poset, std::vector<std::uint16_t> steps, std::size_t limit,
                          std::size_t& total) {
    const std::size_t size = steps.size();
    const std::size_t set_words = words_for(size);
    const std::size_t count_words = words_for_sorts(size);
    Downsets::Part part{std::move(steps), set_words, count_words, {}, {}, {}};
    part.after.resize(size * set_words);
    std::vector<std::uint64_t> before(size * set_words);
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j < size; ++j) {
            if (poset.precedes(part.steps[i], part.steps[j])) {
                flip(&part.after[i * set_words], j);
                flip(&before[j * set_words], i);
            }
        }
    }
    part.sets.assign(size + 1, RowSet<std::uint64_t>(set_words));
    part.ways.resize(size + 1);
    std::vector<std::uint64_t> set(set_words, 0);
    part.sets[0].insert(set.data());
    part.ways[0].assign(count_words, 0);
    part.ways[0][0] = 1;
    for (std::size_t emitted = 0; emitted < size; ++emitted) {
        auto& larger = part.sets[emitted + 1];
        auto& ways = part.ways[emitted + 1];
        for (std::size_t index = 0; index < part.sets[emitted].size(); ++index) {
            interruption_point(size * (set_words + count_words));
            std::copy_n(part.sets[emitted][index], set_words, set.begin());
            for (std::size_t next = 0; next < size; ++next) {
                const std::uint64_t* needed = &before[next * set_words];
                const auto lacks = [&](std::size_t word) { return (needed[word] & ~set[word]) != 0; };
                bool ready = !has(set.data(), next);
                for (std::size_t word = 0; ready && word < set_words; ++word) ready = !lacks(word);
                if (!ready) {
                    continue;
                }
                flip(set.data(), next);
                if (larger.insert(set.data())) {
                    if (++total > limit) refuse("sets of steps that may have been emitted", limit);
                    ways.resize(ways.size() + count_words, 0);
                }
                add(&ways[larger.find(set.data()) * count_words], &part.ways[emitted][index * count_words],
                    count_words);
                flip(set.data(), next);
            }
        }
    }
    return part;
}

// Unranks a number below the number of the part's sorts, from the last step to the first one.
void unrank(const Downsets::Part& part, Number rank, std::uint16_t* out) {
    const std::size_t size = part.steps.size();
    std::vector<std::uint64_t> set(part.sets[size][0], part.sets[size][0] + part.set_words);
    for (std::size_t emitted = size; emitted-- > 0;) {
        interruption_point(size * part.set_words + part.count_words);
        for (std::size_t last = 0;; ++last) {
            const std::uint64_t* after = &part.after[last * part.set_words];
            bool free = has(set.data(), last);
            for (std::size_t word = 0; free && word < part.set_words; ++word) {
                free = (after[word] & set[word]) == 0;
            }
            if (!free) {
                continue;
            }
            flip(set.data(), last);
            const std::uint64_t* ways =
                &part.ways[emitted][part.sets[emitted].find(set.data()) * part.count_words];
            if (less(rank.data(), ways, part.count_words)) {
                out[emitted] = part.steps[last];
                break;
            }
            subtract(rank.data(), ways, part.count_words);
            flip(set.data(), last);
        }
    }
}

}  // namespace

Downsets::Downsets(const Poset& poset, std::size_t limit) : length_(poset.length()) {
    std::size_t total = 0;
    for (auto& steps : connected_parts(poset)) {
        parts_.push_back(count_part(poset, std::move(steps), limit, total));
    }
}

void Downsets::sample(std::size_t count, std::uint64_t seed, std::int64_t* out) const {
    std::vector<std::uint16_t> sequences(length_);  // of the parts, one after the other
    std::vector<std::size_t> next(parts_.size());
    std::vector<std::size_t> left(parts_.size());
    for (std::size_t i = 0; i < count; ++i) {
        Philox random(seed, uniform_stream, i);
        std::size_t start = 0;
        for (std::size_t part = 0; part < parts_.size(); ++part) {
            next[part] = start;
            left[part] = parts_[part].steps.size();
            unrank(parts_[part], draw_below(parts_[part].sorts(), parts_[part].count_words, random),
                   &sequences[start]);
            start += left[part];
        }
        // Every interleaving of the parts is as likely as any other.
        for (std::size_t rest = length_; rest > 0; --rest) {
            std::size_t ticket = random.below(static_cast<std::uint32_t>(rest));
            std::size_t part = 0;
            while (ticket >= left[part]) ticket -= left[part++];
            --left[part];
            *out++ = sequences[next[part]++];
        }
    }
}

}  // namespace pyorder
