// Sets of steps as bits, and the refusal to enumerate more of them than was allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace pyorder {

[[noreturn]] inline void refuse(const char* what, std::size_t limit) {
    throw std::length_error("limit: there are more than " + std::to_string(limit) + " " + what);
}

inline std::size_t words_for(std::size_t bits) { return (bits + 63) / 64; }

inline bool has(const std::uint64_t* set, std::size_t member) {
    return (set[member / 64] >> member % 64 & 1) != 0;
}
inline void flip(std::uint64_t* set, std::size_t member) {
    set[member / 64] ^= std::uint64_t{1} << member % 64;
}

}  // namespace pyorder
