// The hash of the bytes of a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pyorder {

// Both halves of every product go on, so that each bit of a row reaches the low and the high bits of the
// hash: rows that differ in their highest bytes only need not meet in a table.
inline std::uint64_t hash_bytes(const void* row, std::size_t count) {
    constexpr std::size_t word_bytes = sizeof(std::uint64_t);
    const auto* const bytes = static_cast<const unsigned char*>(row);
    std::uint64_t state = 0;
    const auto take = [&](std::uint64_t word) {
        const auto product = static_cast<unsigned __int128>(state ^ word) * 0x9E3779B97F4A7C15;
        state = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    std::uint64_t word = 0;
    if (count < word_bytes) {
        std::memcpy(&word, bytes, count);
        take(word);
        return state;
    }
    for (std::size_t at = 0; at + word_bytes < count; at += word_bytes) {
        std::memcpy(&word, bytes + at, word_bytes);
        take(word);
    }
    std::memcpy(&word, bytes + count - word_bytes, word_bytes);  // may overlap the one before
    take(word);
    return state;
}

}  // namespace pyorder
