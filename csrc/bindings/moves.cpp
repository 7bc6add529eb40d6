#include "moves.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "unlocked.hpp"

namespace pyorder::bindings {
namespace {

void check_range(std::size_t value, const char* name, std::size_t low, std::size_t high) {
    if (value < low || value > high) {
        throw std::invalid_argument(std::string(name) + ": expected an integer from " + std::to_string(low) +
                                    " to " + std::to_string(high) + ", got " + std::to_string(value));
    }
}

// The rows that a move gives for one order: arrange.operator()<Step>(length) makes the arrangements of slots.
template <class Arrange>
py::array_t<std::int64_t> apply(const py::array& order, Arrange arrange) {
    const auto shape = orders_shape(order, "order", Shape::one);
    const std::size_t length = shape.length;
    return with_step(length, [&]<class Step> {
        const auto steps = pack<Step>(order, shape, "order");
        std::vector<Step> rows;
        {
            const Unlocked unlocked;
            rows = arrange.template operator()<Step>(length);
        }
        const std::size_t count = rows.size() / length;
        py::array_t<std::int64_t> result({count, length});
        auto* out = result.mutable_data();
        {
            const Unlocked unlocked;
            compose(Orders<Step>{steps.data(), 1, length}, Orders<Step>{rows.data(), count, length}, count,
                    out);
        }
        return result;
    });
}

py::array_t<std::int64_t> bounds_of_blocks(std::size_t length, std::size_t blocks) {
    check_range(length, "length", 1, max_length);
    check_range(blocks, "blocks", 1, length);
    const auto bounds = block_bounds(length, blocks);
    py::array_t<std::int64_t> result(static_cast<py::ssize_t>(bounds.size()));
    std::copy(bounds.begin(), bounds.end(), result.mutable_data());
    return result;
}

py::array_t<std::int64_t> rearrangements_of_blocks(const py::array& orders, std::size_t blocks) {
    const auto shape = orders_shape(orders, "orders", Shape::several);
    check_range(blocks, "blocks", 1, shape.length);
    return with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(orders, shape, "orders");
        std::vector<Step> rows;
        {
            const Unlocked unlocked;
            rows = block_rearrangements(Orders<Step>{steps.data(), shape.count, shape.length}, blocks);
        }
        return unpack(rows, shape.length);
    });
}

py::array_t<std::int64_t> all_within_blocks(const py::array& order, std::size_t block_size) {
    return apply(order, [=]<class Step>(std::size_t length) {
        check_range(block_size, "block_size", 2, length);
        return within_blocks<Step>(length, block_size);
    });
}

py::array_t<std::int64_t> some_within_blocks(const py::array& order, std::size_t block_size,
                                             std::size_t limit, std::uint64_t seed) {
    return apply(order, [=]<class Step>(std::size_t length) {
        check_range(block_size, "block_size", 2, length);
        check_range(limit, "limit", 1, SIZE_MAX / 2);
        return sample_within_blocks<Step>(length, block_size, limit, seed);
    });
}

py::array_t<std::int64_t> some_within_every_block(const py::array& order, std::size_t block_size,
                                                  std::size_t limit, std::uint64_t seed) {
    return apply(order, [=]<class Step>(std::size_t length) {
        check_range(block_size, "block_size", 2, length);
        check_range(limit, "limit", 1, SIZE_MAX / 2);
        return within_every_block<Step>(length, block_size, limit, seed);
    });
}

py::array_t<std::int64_t> some_permuted_blocks(const py::array& order, std::size_t block_size,
                                               std::size_t limit, std::uint64_t seed) {
    return apply(order, [=]<class Step>(std::size_t length) {
        check_range(block_size, "block_size", 2, length);
        check_range(limit, "limit", 1, SIZE_MAX / 2);
        return permuted_blocks<Step>(length, block_size, limit, seed);
    });
}

py::array_t<std::int64_t> rotations_of_blocks(const py::array& order, std::size_t block_size) {
    return apply(order, [=]<class Step>(std::size_t length) {
        check_range(block_size, "block_size", 2, length);
        return between_blocks<Step>(length, block_size);
    });
}

py::array_t<std::int64_t> all_swaps(const py::array& order) {
    return apply(order, []<class Step>(std::size_t length) { return swaps<Step>(length); });
}

py::array_t<std::int64_t> all_block_moves(const py::array& order, std::size_t max_size) {
    return apply(order, [=]<class Step>(std::size_t length) { return block_moves<Step>(length, max_size); });
}

py::array_t<std::int64_t> random_neighbours(const py::array& order, std::size_t count, std::uint64_t seed) {
    const auto shape = orders_shape(order, "order", Shape::one);
    check_range(shape.length, "slots of order", 2, max_length);
    return with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(order, shape, "order");
        py::array_t<std::int64_t> result({count, shape.length});
        auto* out = result.mutable_data();
        {
            const Unlocked unlocked;
            sample_neighbours(steps.data(), shape.length, count, seed, out);
        }
        return result;
    });
}

}  // namespace

void register_moves(py::module_ module) {
    using namespace py::literals;
    module.def("block_bounds", &bounds_of_blocks, "length"_a, "blocks"_a);
    module.def("block_rearrangements", &rearrangements_of_blocks, "orders"_a, "blocks"_a);
    module.def("within_blocks", &all_within_blocks, "order"_a, "block_size"_a);
    module.def("sample_within_blocks", &some_within_blocks, "order"_a, "block_size"_a, "limit"_a, "seed"_a);
    module.def("within_every_block", &some_within_every_block, "order"_a, "block_size"_a, "limit"_a,
               "seed"_a);
    module.def("permuted_blocks", &some_permuted_blocks, "order"_a, "block_size"_a, "limit"_a, "seed"_a);
    module.def("between_blocks", &rotations_of_blocks, "order"_a, "block_size"_a);
    module.def("swaps", &all_swaps, "order"_a);
    module.def("block_moves", &all_block_moves, "order"_a, "max_size"_a);
    module.def("sample_neighbours", &random_neighbours, "order"_a, "count"_a, "seed"_a);
}

}  // namespace pyorder::bindings
