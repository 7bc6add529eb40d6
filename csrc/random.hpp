// A counter-based random generator: what a row draws depends on (seed, stream, row) only, not on other rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pyorder {

// Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), the generator of
// numpy.random.Philox with key (seed, stream) and counter (0, row, 0, 0).
class Philox {
  public:
    Philox(std::uint64_t seed, std::uint64_t stream, std::uint64_t row)
        : key_{seed, stream}, counter_{0, row, 0, 0} {}

    // The next 64 random bits: the four words of a block in turn.
    std::uint64_t next() {
        if (used_ == block_.size()) {
            refill();
        }
        return block_[used_++];
    }

    // The next 32 random bits: the halves of next(), the low half first.
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

    // Uniform in [0, bound) without bias, bound >= 1 (Lemire, "Fast random integer generation in an
    // interval", 2019).
    std::uint32_t below(std::uint32_t bound) {
        std::uint64_t product = std::uint64_t{next32()} * bound;
        if (static_cast<std::uint32_t>(product) < bound) {
            const std::uint32_t threshold = (0U - bound) % bound;
            while (static_cast<std::uint32_t>(product) < threshold) {
                product = std::uint64_t{next32()} * bound;
            }
        }
        return static_cast<std::uint32_t>(product >> 32);
    }

  private:
    void refill() {
        ++counter_[0];
        block_ = counter_;
        std::array<std::uint64_t, 2> key = key_;
        for (int round = 0; round < 10; ++round) {
            const auto left = static_cast<unsigned __int128>(0xD2E7470EE14C6C93) * block_[0];
            const auto right = static_cast<unsigned __int128>(0xCA5A826395121157) * block_[2];
            block_ = {static_cast<std::uint64_t>(right >> 64) ^ block_[1] ^ key[0],
                      static_cast<std::uint64_t>(right),
                      static_cast<std::uint64_t>(left >> 64) ^ block_[3] ^ key[1],
                      static_cast<std::uint64_t>(left)};
            key[0] += 0x9E3779B97F4A7C15;
            key[1] += 0xBB67AE8584CAA73B;
        }
        used_ = 0;
    }

    std::array<std::uint64_t, 2> key_;
    std::array<std::uint64_t, 4> counter_;
    std::array<std::uint64_t, 4> block_{};
    std::size_t used_ = 4;
    std::uint32_t half_ = 0;
    bool has_half_ = false;
};

}  // namespace pyorder
