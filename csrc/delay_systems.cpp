#include "delay_systems.hpp"

#include <cstdlib>
#include <stdexcept>

namespace pyorder {
namespace {

constexpr int most = 9;
constexpr std::int64_t longest = 32'767;

// A triangle wave of period 4 * most, which is the number itself from -most to most.
int reflect(int number) {
    const int phase = ((number - most) % (4 * most) + 4 * most) % (4 * most);
    return std::abs(phase - 2 * most) - most;
}

std::int64_t delay_of(const std::string& name, const Parameters& parameters, const std::string& which) {
    const std::int64_t delay = integer(parameters, which);
    check_range(which + " of " + name, delay, {1, longest});
    return delay;
}

}  // namespace

DelaySystem::DelaySystem(const std::string& name, std::int64_t length, const Parameters& parameters)
    : coupling_(integer(parameters, "coupling")), variables_(integer(parameters, "variables")) {
    check_range("length of " + name, length, {2, longest});
    terms_.resize(static_cast<std::size_t>(length));
    check_range("variables of " + name, variables_, {1, length});
    if (length % variables_ != 0) {
        throw std::invalid_argument("length of " + name + " must be a multiple of its " +
                                    std::to_string(variables_) + " variables, got " + std::to_string(length));
    }
    check_range("coupling of " + name, coupling_, {1, most});
    input_range = target_range = {-most, most};
}

void DelaySystem::add_term(std::int64_t to, std::int64_t at, std::int64_t variable, std::int64_t time,
                           std::int64_t weight) {
    if (time >= 0) {
        terms_[static_cast<std::size_t>(at * variables_ + to)].push_back(
            {static_cast<std::size_t>(time * variables_ + variable), static_cast<int>(weight)});
    }
}

void DelaySystem::compute_row(const std::int16_t* input, std::int16_t* target) const {
    for (std::size_t step = 0; step < length; ++step) {
        int sum = input[step];
        for (const auto& [from, weight] : terms_[step]) sum += weight * std::abs(target[from]);
        target[step] = static_cast<std::int16_t>(reflect(sum));
    }
}

std::vector<Dependency> DelaySystem::dependencies() const {
    std::vector<Dependency> found;
    for (std::size_t step = 0; step < terms_.size(); ++step) {
        for (const auto& term : terms_[step]) found.push_back({term.step, step});
    }
    return found;
}

DelayChain::DelayChain(const std::string& name, std::int64_t length, const Parameters& parameters)
    : DelaySystem(name, length, parameters) {
    const std::int64_t delay = delay_of(name, parameters, "delay");
    for (std::int64_t t = 0; t < times(); ++t) {
        for (std::int64_t v = 0; v < variables(); ++v) {
            add_term(v, t, v, t - 1, 1);
            if (v > 0) add_term(v, t, v - 1, t - delay, coupling_);
        }
    }
}

DelayRing::DelayRing(const std::string& name, std::int64_t length, const Parameters& parameters)
    : DelaySystem(name, length, parameters) {
    if (variables() < 2) throw std::invalid_argument("variables of " + name + " must be at least 2, got 1");
    const std::int64_t delays = delay_of(name, parameters, "delays");
    for (std::int64_t t = 0; t < times(); ++t) {
        for (std::int64_t v = 0; v < variables(); ++v) {
            add_term(v, t, v, t - 1, 1);
            add_term(v, t, (v + variables() - 1) % variables(), t - 1 - v % delays, coupling_);
        }
    }
}

DelaySlow::DelaySlow(const std::string& name, std::int64_t length, const Parameters& parameters)
    : DelaySystem(name, length, parameters) {
    const std::int64_t delay = delay_of(name, parameters, "delay");
    for (std::int64_t t = 0; t < times(); ++t) {
        add_term(0, t, 0, t - delay, 1);
        for (std::int64_t v = 1; v < variables(); ++v) {
            add_term(v, t, v, t - 1, 1);
            add_term(v, t, 0, t - 1, coupling_);
        }
    }
}

}  // namespace pyorder
