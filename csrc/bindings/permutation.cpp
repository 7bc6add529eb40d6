#include "permutation.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "unlocked.hpp"

namespace pyorder::bindings {
namespace {

// The shape that NumPy's broadcasting gives to rows of two arguments: without the last dimension, of slots.
std::vector<std::size_t> broadcast(const OrdersShape& first, const std::string& first_name,
                                   const OrdersShape& second, const std::string& second_name) {
    if (first.length != second.length) {
        throw py::value_error(second_name + ": " + std::to_string(second.length) + " slots, but " +
                              first_name + " has " + std::to_string(first.length));
    }
    if (first.count != second.count && first.count != 1 && second.count != 1) {
        throw py::value_error(second_name + ": " + std::to_string(second.count) + " orders, but " +
                              first_name + " has " + std::to_string(first.count));
    }
    if (first.single && second.single) {
        return {};
    }
    return {first.count == 1 ? second.count : first.count};
}

void check_orders(const py::array& orders, const std::string& name) {
    const auto shape = orders_shape(orders, name, Shape::any);
    visit_integers(orders, name, [&](const auto* values) {
        require_permutations<std::uint16_t>(values, shape, name, nullptr);
    });
}

template <class Out>
void lexicographic_into(py::array_t<Out, py::array::c_style> out, std::uint64_t start) {
    const auto shape = orders_shape(out, "out", Shape::several);
    const std::uint64_t total = factorial(shape.length);
    if (start > total || shape.count > total - start) {
        throw py::value_error("out: there are not " + std::to_string(shape.count) +
                              " orders from this start on");
    }
    Out* data = out.mutable_data();
    const Unlocked unlocked;
    lexicographic(shape.length, start, shape.count, data);
}

py::array_t<std::uint64_t> rank_orders(const py::array& orders) {
    const auto shape = orders_shape(orders, "orders", Shape::several);
    factorial(shape.length);  // throws when the ranks would not fit
    const auto steps = pack<std::uint8_t>(orders, shape, "orders");
    py::array_t<std::uint64_t> result(static_cast<py::ssize_t>(shape.count));
    auto* out = result.mutable_data();
    {
        const Unlocked unlocked;
        rank(Orders<std::uint8_t>{steps.data(), shape.count, shape.length}, out);
    }
    return result;
}

py::array_t<std::int64_t> unrank_orders(const py::array& ranks, std::size_t length) {
    if (ranks.ndim() != 1) {
        throw py::value_error("ranks: expected shape (T,), got " + std::to_string(ranks.ndim()) +
                              " dimensions");
    }
    const std::uint64_t total = factorial(length);
    std::vector<std::uint64_t> checked(static_cast<std::size_t>(ranks.size()));
    visit_integers(ranks, "ranks", [&](const auto* values) {
        for (std::size_t i = 0; i < checked.size(); ++i) {
            checked[i] = static_cast<std::uint64_t>(values[i]);  // negative ones turn huge
            if (checked[i] >= total) {
                throw std::invalid_argument("ranks: row " + std::to_string(i) + ", " +
                                            std::to_string(values[i]) + ", is not in 0.." +
                                            std::to_string(total - 1));
            }
        }
    });
    py::array_t<std::int64_t> result({checked.size(), length});
    auto* out = result.mutable_data();
    {
        const Unlocked unlocked;
        unrank(checked.data(), checked.size(), length, out);
    }
    return result;
}

py::array_t<std::int64_t> sample_orders(std::size_t length, std::size_t count, std::uint64_t seed) {
    py::array_t<std::int64_t> result({count, length});
    auto* out = result.mutable_data();
    {
        const Unlocked unlocked;
        sample(length, count, seed, out);
    }
    return result;
}

py::array_t<std::int64_t> sample_distinct_orders(std::size_t length, std::size_t count, std::uint64_t seed) {
    return with_step(length, [&]<class Step> {
        std::vector<Step> rows;
        {
            const Unlocked unlocked;
            rows = sample_distinct<Step>(length, count, seed);
        }
        return unpack(rows, length);
    });
}

py::array_t<std::int64_t> compose_orders(const py::array& outer, const py::array& inner) {
    const auto outer_shape = orders_shape(outer, "outer", Shape::any);
    const auto inner_shape = orders_shape(inner, "inner", Shape::any);
    auto shape = broadcast(outer_shape, "outer", inner_shape, "inner");
    const std::size_t count = shape.empty() ? 1 : shape[0];
    const std::size_t length = outer_shape.length;
    shape.push_back(length);
    return with_step(length, [&]<class Step> {
        const auto outer_steps = pack<Step>(outer, outer_shape, "outer");
        const auto inner_steps = pack<Step>(inner, inner_shape, "inner");
        py::array_t<std::int64_t> result(shape);
        auto* out = result.mutable_data();
        {
            const Unlocked unlocked;
            compose(Orders<Step>{outer_steps.data(), outer_shape.count, length},
                    Orders<Step>{inner_steps.data(), inner_shape.count, length}, count, out);
        }
        return result;
    });
}

py::array_t<std::int64_t> invert_orders(const py::array& orders) {
    const auto shape = orders_shape(orders, "orders", Shape::any);
    return with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(orders, shape, "orders");
        py::array_t<std::int64_t> result(
            std::vector<py::ssize_t>(orders.shape(), orders.shape() + orders.ndim()));
        auto* out = result.mutable_data();
        {
            const Unlocked unlocked;
            invert(Orders<Step>{steps.data(), shape.count, shape.length}, out);
        }
        return result;
    });
}

// Runs measure.operator()<Step>(first, second, count, out) on broadcast rows of orders of at least two slots.
template <class Measure>
py::array_t<double> compare(const py::array& first, const py::array& second, Measure measure) {
    const auto first_shape = orders_shape(first, "first", Shape::any);
    const auto second_shape = orders_shape(second, "second", Shape::any);
    const auto shape = broadcast(first_shape, "first", second_shape, "second");
    const std::size_t count = shape.empty() ? 1 : shape[0];
    const std::size_t length = first_shape.length;
    if (length < 2) {
        throw py::value_error("first: orders of at least 2 slots can be compared, got 1");
    }
    return with_step(length, [&]<class Step> {
        const auto first_steps = pack<Step>(first, first_shape, "first");
        const auto second_steps = pack<Step>(second, second_shape, "second");
        py::array_t<double> result(shape);
        auto* out = result.mutable_data();
        {
            const Unlocked unlocked;
            measure(Orders<Step>{first_steps.data(), first_shape.count, length},
                    Orders<Step>{second_steps.data(), second_shape.count, length}, count, out);
        }
        return result;
    });
}

}  // namespace

void register_permutation(py::module_ module) {
    using namespace py::literals;
    module.attr("max_length") = max_length;
    module.def("factorial", &factorial, "length"_a);
    module.def("check_orders", &check_orders, "orders"_a, "name"_a);
    module.def("lexicographic", &lexicographic_into<std::int64_t>, "out"_a.noconvert(), "start"_a);
    module.def("lexicographic", &lexicographic_into<std::uint8_t>, "out"_a.noconvert(), "start"_a);
    module.def("rank", &rank_orders, "orders"_a);
    module.def("unrank", &unrank_orders, "ranks"_a, "length"_a);
    module.def("sample", &sample_orders, "length"_a, "count"_a, "seed"_a);
    module.def("sample_distinct", &sample_distinct_orders, "length"_a, "count"_a, "seed"_a);
    module.def("compose", &compose_orders, "outer"_a, "inner"_a);
    module.def("invert", &invert_orders, "orders"_a);
    module.def(
        "kendall_tau",
        [](const py::array& first, const py::array& second) {
            return compare(first, second, [](auto... arguments) { kendall_tau(arguments...); });
        },
        "first"_a, "second"_a);
    module.def(
        "adjacency",
        [](const py::array& first, const py::array& second) {
            return compare(first, second, [](auto... arguments) { adjacency(arguments...); });
        },
        "first"_a, "second"_a);
}

}  // namespace pyorder::bindings
