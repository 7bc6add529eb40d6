// A counter-based generator: the numbers of a row depend on (seed, stream, row) only, so rows can be made in
// any order and by any number of threads.
#pragma once

#include <array>
#include <cstdint>

namespace pyorder {

// Philox4x64-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011), the
// generator of numpy.random.Philox(counter=[0, row, 0, 0], key=[seed, stream]).
class Philox {
  public:
    Philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t row) : key_{seed, stream}, row_(row) {}

    // The next 64 bits: the four words of a block in turn.
    std::uint64_t next() {
        if (used_ == 4) {
            block_ = encrypt(++counter_);
            used_ = 0;
        }
        return block_[used_++];
    }

    // The next 32 bits: the halves of next(), the low one first.
    std::uint32_t next32() {
        if (has_half_) {
            has_half_ = false;
            return half_;
        }
        const std::uint64_t word = next();
        half_ = static_cast<std::uint32_t>(word >> 32);
        has_half_ = true;
        return static_cast<std::uint32_t>(word);
    }

    // Uniform in [0, bound), bound >= 1, without bias (Lemire: "Fast random integer generation in an
    // interval", 2019): the high half of bits * bound, rejecting the few low halves that would favour some
    // values.
    std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = std::uint64_t{next32()} * bound;
        if (static_cast<std::uint32_t>(product) < bound) {
            const std::uint32_t threshold = (0u - bound) % bound;
            while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{next32()} * bound;
        }
        return static_cast<std::uint32_t>(product >> 32);
    }

  private:
    using Block = std::array<std::uint64_t, 4>;

    Block encrypt(std::uint64_t counter) const {
        Block words{counter, row_, 0, 0};
        std::uint64_t key0 = key_[0];
        std::uint64_t key1 = key_[1];
        for (int round = 0; round < 10; ++round) {
            const unsigned __int128 product0 = static_cast<unsigned __int128>(0xD2E7470EE14C6C93u) * words[0];
            const unsigned __int128 product1 = static_cast<unsigned __int128>(0xCA5A826395121157u) * words[2];
            words = {static_cast<std::uint64_t>(product1 >> 64) ^ words[1] ^ key0,
                     static_cast<std::uint64_t>(product1),
                     static_cast<std::uint64_t>(product0 >> 64) ^ words[3] ^ key1,
                     static_cast<std::uint64_t>(product0)};
            key0 += 0x9E3779B97F4A7C15u;
            key1 += 0xBB67AE8584CAA73Bu;
        }
        return words;
    }

    std::array<std::uint64_t, 2> key_;
    std::uint64_t row_;
    std::uint64_t counter_ = 0;  // NumPy counts up before it makes a block, so the first is block 1
    Block block_{};
    std::uint32_t used_ = 4;
    std::uint32_t half_ = 0;
    bool has_half_ = false;
};

}  // namespace pyorder
