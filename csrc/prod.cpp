#include "prod.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>

namespace pyorder {
namespace {

constexpr std::int64_t max_value = std::numeric_limits<std::int16_t>::max();

// The two numbers of "5x3".
std::array<std::int64_t, 2> parse_factors(const std::string& text) {
    std::array<std::int64_t, 2> digits{};
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, digits[0]);
    if (first.ec == std::errc{} && first.ptr != end && *first.ptr == 'x') {
        const auto second = std::from_chars(first.ptr + 1, end, digits[1]);
        if (second.ec == std::errc{} && second.ptr == end) return digits;
    }
    throw std::invalid_argument("factors of prod must be two numbers of digits like 5x3, got '" + text + "'");
}

}  // namespace

Prod::Prod(std::int64_t given_length, const Parameters& given) {
    check_range("length of prod", given_length, {2, max_value});
    check_range("base of prod", integer(given, "base"), {2, max_value});
    base_ = static_cast<std::uint32_t>(integer(given, "base"));
    std::string factors = std::get<std::string>(given.at("factors"));
    if (factors.empty()) {
        digits_.fill(static_cast<std::size_t>(given_length) / 2);
        factors = std::to_string(digits_[0]) + "x" + std::to_string(digits_[1]);
    } else {
        const auto digits = parse_factors(factors);
        for (const std::int64_t count : digits) check_range("factors of prod", count, {1, max_value});
        if (digits[0] + digits[1] > given_length) {
            throw std::invalid_argument("length of prod must be at least " +
                                        std::to_string(digits[0] + digits[1]) +
                                        ", the digits of both factors, got " + std::to_string(given_length));
        }
        std::ranges::copy(digits, digits_.begin());
    }
    const auto& rows = std::get<std::string>(given.at("rows"));
    if (rows == "uniform") {
        rows_ = Rows::uniform;
    } else if (rows == "by_length") {
        rows_ = Rows::by_length;
    } else if (rows == "sparse") {
        rows_ = Rows::sparse;
    } else {
        throw std::invalid_argument("rows of prod must be uniform, by_length or sparse, got '" + rows + "'");
    }
    parameters = given;
    parameters["factors"] = factors;
    input_length = digits_[0] + digits_[1];
    input_range = target_range = {0, integer(given, "base") - 1};
}

void Prod::draw_row(Philox& random, std::int16_t* input) const {
    if (rows_ == Rows::by_length) {
        std::fill_n(input, input_length, std::int16_t{0});
        std::int16_t* end = input;
        for (const std::size_t room : digits_) {
            end += room;
            draw_number(1 + random.below(static_cast<std::uint32_t>(room)), random, end);
        }
        return;
    }
    Task::draw_row(random, input);
    constexpr std::uint32_t twentieths = 9;
    if (rows_ == Rows::sparse && random.below(20) < twentieths) {
        std::int16_t* const b = input + digits_[0];
        std::fill_n(b, digits_[1], std::int16_t{0});
        const std::uint32_t place = random.below(static_cast<std::uint32_t>(digits_[1]));
        b[place] = static_cast<std::int16_t>(1 + random.below(base_ - 1));
    }
}

// Writes a number of so many digits before `end`: zero has one digit, and no other number begins with it.
void Prod::draw_number(std::size_t digits, Philox& random, std::int16_t* end) const {
    std::int16_t* digit = end - digits;
    *digit++ = static_cast<std::int16_t>(digits == 1 ? random.below(base_) : 1 + random.below(base_ - 1));
    while (digit != end) *digit++ = static_cast<std::int16_t>(random.below(base_));
}

void Prod::compute_row(const std::int16_t* input, std::int16_t* target) const {
    const auto [a_digits, b_digits] = digits_;
    const std::int16_t* const a_end = input + a_digits;
    const std::int16_t* const b_end = a_end + b_digits;
    std::uint64_t carry = 0;
    for (std::size_t place = 0; place < length; ++place) {
        const std::size_t first = place < b_digits ? 0 : place - b_digits + 1;
        for (std::size_t i = first; i < std::min(place + 1, a_digits); ++i) {
            const auto a = static_cast<std::uint64_t>(*(a_end - 1 - i));
            const auto b = static_cast<std::uint64_t>(*(b_end - 1 - (place - i)));
            carry += a * b;
        }
        target[place] = static_cast<std::int16_t>(carry % base_);
        carry /= base_;
    }
}

}  // namespace pyorder
