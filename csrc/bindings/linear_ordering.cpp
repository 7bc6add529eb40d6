#include "linear_ordering.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "unlocked.hpp"

namespace pyorder::bindings {
namespace {

using Weights = py::array_t<double, py::array::c_style>;

py::array_t<double> values(const Weights& weights, const py::array& orders) {
    const auto shape = orders_shape(orders, "orders", Shape::several);
    if (shape.length != static_cast<std::size_t>(weights.shape(0))) {
        throw py::value_error("orders: " + std::to_string(shape.length) + " slots, but weights has " +
                              std::to_string(weights.shape(0)) + " steps");
    }
    py::array_t<double> result(static_cast<py::ssize_t>(shape.count));
    const double* data = weights.data();
    auto* out = result.mutable_data();
    with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(orders, shape, "orders");
        const Unlocked unlocked;
        linear_ordering_value(data, Orders<Step>{steps.data(), shape.count, shape.length}, out);
    });
    return result;
}

// Calls solve(data, length) without the GIL, and gives its order out as int64.
template <class Solve>
py::array_t<std::int64_t> solved(const Weights& weights, Solve solve) {
    const auto length = static_cast<std::size_t>(weights.shape(0));
    const double* data = weights.data();
    std::vector<std::uint16_t> order;
    {
        const Unlocked unlocked;
        order = solve(data, length);
    }
    py::array_t<std::int64_t> result(static_cast<py::ssize_t>(length));
    std::copy(order.begin(), order.end(), result.mutable_data());
    return result;
}

}  // namespace

void register_linear_ordering(py::module_ module) {
    using namespace py::literals;
    module.attr("max_exact_length") = max_exact_length;
    module.def("value", &values, "weights"_a.noconvert(), "orders"_a);
    module.def(
        "solve",
        [](const Weights& weights, std::size_t restarts, std::uint64_t seed) {
            return solved(weights, [=](const double* data, std::size_t length) {
                return solve_linear_ordering(data, length, restarts, seed);
            });
        },
        "weights"_a.noconvert(), "restarts"_a, "seed"_a);
    module.def(
        "solve_exact", [](const Weights& weights) { return solved(weights, &solve_linear_ordering_exactly); },
        "weights"_a.noconvert());
}

}  // namespace pyorder::bindings
