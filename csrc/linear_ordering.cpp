#include "linear_ordering.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "interruption.hpp"

namespace pyorder {
namespace {

constexpr std::uint64_t solve_stream = 0x736F6C7665;  // "solve"; see permutation.cpp

// How often a search disturbs the best order it has: at 500 steps, eight searches take less than four
// seconds.
constexpr int disturbances = 300;

using Order = std::vector<std::uint16_t>;

// Moves what stands at slot `from` to slot `to`; the slots between close up.
void move_slot(Order& order, std::size_t from, std::size_t to) {
    const auto at = [&](std::size_t slot) { return order.begin() + static_cast<std::ptrdiff_t>(slot); };
    if (from < to) {
        std::rotate(at(from), at(from + 1), at(to + 1));
    } else {
        std::rotate(at(to), at(from), at(from + 1));
    }
}

// A local search that begins at a random order and looks at slots only, so that labels never break a tie.
//
// It works on gain[x][y], what an order gains from having x before y rather than after it, in integers as
// large as their sums allow: these neither round nor depend on the sequence of additions, so what looks like
// a gain is one, and a descent ends.
class Search {
  public:
    Search(const double* weights, std::size_t length)
        : length_(length), gains_(length * length, 0), order_(length) {
        const auto half_gain = [&](std::size_t x, std::size_t y) {
            return weights[x * length + y] / 2 - weights[y * length + x] / 2;
        };
        double total = 0;
        for (std::size_t x = 0; x < length; ++x) {
            for (std::size_t y = 0; y < length; ++y) {
                total += x == y ? 0 : std::abs(half_gain(x, y));
            }
        }
        if (total == 0) {
            return;
        }
        const int shift = 61 - std::ilogb(total);  // no sum of gains passes 2^62, and rounding
        for (std::size_t x = 0; x < length; ++x) {
            for (std::size_t y = 0; y < length; ++y) {
                gains_[x * length + y] = x == y ? 0 : std::llrint(std::ldexp(half_gain(x, y), shift));
            }
        }
    }

    // Ends at an order that no move of a step or a block of steps improves.
    const Order& run(Philox random) {
        std::iota(order_.begin(), order_.end(), std::uint16_t{0});
        shuffle(order_.data(), length_, random);
        improve_by_insertions();
        const std::size_t exchanges = std::max<std::size_t>(2, length_ / 16);
        Order kept = order_;
        for (int i = 0; i < disturbances; ++i) {
            std::int64_t gain = 0;
            for (std::size_t j = 0; j < exchanges; ++j) {
                gain += exchange(random);
            }
            gain += improve_by_insertions();
            if (gain >= 0) {  // walking among equals leads out of plateaus
                kept = order_;
            } else {
                order_ = kept;
            }
        }
        while (improve_by_block_moves()) {
            improve_by_insertions();
        }
        return order_;
    }

    // What the order is worth in gains, less a constant.
    std::int64_t value() const {
        std::int64_t value = 0;
        for (std::size_t a = 0; a < length_; ++a) {
            for (std::size_t b = a + 1; b < length_; ++b) {
                value += gains_of(a)[order_[b]];
            }
        }
        return value;
    }

  private:
    const std::int64_t* gains_of(std::size_t slot) const { return gains_.data() + order_[slot] * length_; }

    // Exchanges the steps at two random slots; returns the gain, mostly a loss.
    std::int64_t exchange(Philox& random) {
        auto a = std::size_t{random.below(static_cast<std::uint32_t>(length_))};
        auto b = std::size_t{random.below(static_cast<std::uint32_t>(length_))};
        if (a > b) {
            std::swap(a, b);
        }
        std::int64_t loss = gains_of(a)[order_[b]];
        for (std::size_t k = a + 1; k < b; ++k) {
            loss += gains_of(a)[order_[k]] - gains_of(b)[order_[k]];
        }
        std::swap(order_[a], order_[b]);
        return -loss;
    }

    // Moves single steps, each to the slot where it is worth most, until none gains; returns the total gain.
    // Then no exchange of steps x .. y gains either: it is worth as much as two insertions, that of x behind
    // y and that of y right behind x, taken together.
    std::int64_t improve_by_insertions() {
        std::int64_t total = 0;
        std::size_t settled = 0;  // slots since the last gain
        for (std::size_t from = 0; settled < length_; from = from + 1 == length_ ? 0 : from + 1) {
            interruption_point(length_);
            const std::int64_t* gains = gains_of(from);
            std::int64_t best = 0;
            std::size_t to = from;
            std::int64_t gain = 0;
            for (std::size_t k = from; k-- > 0;) {
                gain += gains[order_[k]];
                if (gain > best) {
                    best = gain;
                    to = k;
                }
            }
            gain = 0;
            for (std::size_t k = from + 1; k < length_; ++k) {
                gain -= gains[order_[k]];
                if (gain > best) {
                    best = gain;
                    to = k;
                }
            }
            if (best > 0) {
                move_slot(order_, from, to);
                total += best;
                settled = 0;
            } else {
                ++settled;
            }
        }
        return total;
    }

    // For each first slot a, exchanges the neighbouring runs [a, b) and [b, c) that gain most; returns
    // whether any gained.
    bool improve_by_block_moves() {
        bool improved = false;
        sum_gains();
        for (std::size_t a = 0; a < length_; ++a) {
            interruption_point(length_ * length_);
            const std::int64_t* above = sums(a);
            std::int64_t best = 0;
            std::size_t best_b = a;
            std::size_t best_c = a;
            for (std::size_t b = a + 1; b < length_; ++b) {
                const std::int64_t* below = sums(b);
                for (std::size_t c = b + 1; c <= length_; ++c) {
                    const std::int64_t gain = (below[b] - above[b]) - (below[c] - above[c]);
                    if (gain > best) {
                        best = gain;
                        best_b = b;
                        best_c = c;
                    }
                }
            }
            if (best > 0) {
                const auto begin = order_.begin();
                std::rotate(begin + static_cast<std::ptrdiff_t>(a),
                            begin + static_cast<std::ptrdiff_t>(best_b),
                            begin + static_cast<std::ptrdiff_t>(best_c));
                sum_gains();
                improved = true;
            }
        }
        return improved;
    }

    // sums(a)[b]: the gains of the steps at slots below a over those at slots below b.
    const std::int64_t* sums(std::size_t slot) const { return sums_.data() + slot * (length_ + 1); }

    void sum_gains() {
        sums_.assign((length_ + 1) * (length_ + 1), 0);
        for (std::size_t a = 0; a < length_; ++a) {
            const std::int64_t* above = sums(a);
            std::int64_t* below = sums_.data() + (a + 1) * (length_ + 1);
            std::int64_t row = 0;
            for (std::size_t b = 0; b < length_; ++b) {
                row += gains_of(a)[order_[b]];
                below[b + 1] = above[b + 1] + row;
            }
        }
    }

    std::size_t length_;
    std::vector<std::int64_t> gains_;
    Order order_;
    std::vector<std::int64_t> sums_;
};

}  // namespace

template <class Step>
void linear_ordering_value(const double* weights, Orders<Step> orders, double* out) {
    for (std::size_t i = 0; i < orders.count; ++i) {
        interruption_point(orders.length * orders.length / 2);
        const Step* order = orders[i];
        double value = 0;
        for (std::size_t a = 0; a < orders.length; ++a) {
            const double* row = weights + order[a] * orders.length;
            for (std::size_t b = a + 1; b < orders.length; ++b) {
                value += row[order[b]];
            }
        }
        out[i] = value;
    }
}

std::vector<std::uint16_t> solve_linear_ordering(const double* weights, std::size_t length,
                                                 std::size_t restarts, std::uint64_t seed) {
    Search search(weights, length);
    Order best = search.run(Philox(seed, solve_stream, 0));
    std::int64_t best_value = search.value();
    for (std::size_t restart = 1; restart < restarts; ++restart) {
        const Order& order = search.run(Philox(seed, solve_stream, restart));
        const std::int64_t value = search.value();
        if (value > best_value) {
            best = order;
            best_value = value;
        }
    }
    return best;
}

std::vector<std::uint16_t> solve_linear_ordering_exactly(const double* weights, std::size_t length) {
    // best[set] is the most that the steps in the set can be worth among themselves (Held and Karp, 1962).
    std::vector<double> best(std::size_t{1} << length, 0);
    const auto with_last = [&](std::size_t set, std::size_t last) {
        const std::size_t rest = set & ~(std::size_t{1} << last);
        double value = best[rest];
        for (std::size_t step = 0; step < length; ++step) {
            value += (rest >> step & 1) != 0 ? weights[step * length + last] : 0;
        }
        return value;
    };
    const auto best_last = [&](std::size_t set) {
        std::pair<double, std::size_t> found{0, length};
        for (std::size_t last = 0; last < length; ++last) {
            if ((set >> last & 1) != 0) {
                const double value = with_last(set, last);
                if (found.second == length || value > found.first) {
                    found = {value, last};
                }
            }
        }
        return found;
    };
    for (std::size_t set = 1; set < best.size(); ++set) {
        interruption_point(length * length);
        best[set] = best_last(set).first;
    }
    Order order(length);
    std::size_t set = best.size() - 1;
    for (std::size_t j = length; j-- > 0;) {
        const std::size_t last = best_last(set).second;
        order[j] = static_cast<std::uint16_t>(last);
        set &= ~(std::size_t{1} << last);
    }
    return order;
}

template void linear_ordering_value(const double*, Orders<std::uint8_t>, double*);
template void linear_ordering_value(const double*, Orders<std::uint16_t>, double*);

}  // namespace pyorder
