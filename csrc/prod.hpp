// Multiplication, digit by digit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tasks.hpp"

namespace pyorder {

// X: the digits of a, then of b, most significant first, as numbers are written, with zeros in front.
// Y: the L digits of a * b, least significant first, as carries run.
//
// Parameters: base; factors, how many digits a and b have room for, as "5x3", at most L in all and half of L
// each unless given; and rows, how they are drawn: "uniform", every digit; "by_length", how many digits a
// factor has is uniform, and then so is the number of so many digits; "sparse", as uniform, but in 45 % of
// the rows all digits of b are zero but one.
class Prod final : public Task {
  public:
    Prod(std::int64_t given_length, const Parameters& given);

    void draw_row(Philox& random, std::int16_t* input) const override;
    void compute_row(const std::int16_t* input, std::int16_t* target) const override;

    // A digit is no function of other digits, but of sums that are no steps.
    std::vector<Dependency> dependencies() const override { return {}; }

  private:
    void draw_number(std::size_t digits, Philox& random, std::int16_t* end) const;

    std::uint32_t base_;
    std::array<std::size_t, 2> digits_{};  // of a and of b
    enum class Rows { uniform, by_length, sparse } rows_;
};

}  // namespace pyorder
