// Delay systems: several state variables, each a recurrence on delayed values of itself and of one other.
//
// A target lists the values z_{v,t} of all variables v at time step 0, then at time step 1, and so on: step
// t * variables + v, and x_{v,t} stands at the same place of the input. Both are in [-9, 9]:
//
//     z_{v,t} = F(x_{v,t} + |z_{v,t-a}| + coupling * |z_{u,t-b}|),
//
// where F reflects at -9 and 9 until the number lies between, and terms from before the first time step are
// left out. The systems differ in u, a and b.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tasks.hpp"

namespace pyorder {

class DelaySystem : public Task {
  public:
    void compute_row(const std::int16_t* input, std::int16_t* target) const override;
    std::vector<Dependency> dependencies() const override;

  protected:
    // Throws std::invalid_argument unless the length is a multiple of the variables, and the coupling
    // in 1..9.
    DelaySystem(const std::string& name, std::int64_t length, const Parameters& parameters);

    std::int64_t variables() const { return variables_; }
    std::int64_t times() const { return static_cast<std::int64_t>(terms_.size()) / variables_; }

    // Adds weight * |z_{variable,time}| to z_{to,at}, unless time is negative.
    void add_term(std::int64_t to, std::int64_t at, std::int64_t variable, std::int64_t time,
                  std::int64_t weight);

    std::int64_t coupling_;

  private:
    struct Term {
        std::size_t step;
        int weight;
    };

    std::int64_t variables_;
    std::vector<std::vector<Term>> terms_;  // of every step
};

// a = 1; u = v - 1, none for the first variable; b = delay.
class DelayChain final : public DelaySystem {
  public:
    DelayChain(const std::string& name, std::int64_t length, const Parameters& parameters);
};

// a = 1; u = v - 1, the last variable for the first one; b = 1 + (v mod delays).
class DelayRing final : public DelaySystem {
  public:
    DelayRing(const std::string& name, std::int64_t length, const Parameters& parameters);
};

// The first variable is slow, a = delay and no u, and drives the fast ones: a = 1, u = 0, b = 1.
class DelaySlow final : public DelaySystem {
  public:
    DelaySlow(const std::string& name, std::int64_t length, const Parameters& parameters);
};

}  // namespace pyorder
