// NumPy arrays as orders: any integer type comes in and is packed into compact steps, int64 goes out.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "permutation.hpp"
#include "unlocked.hpp"

namespace pyorder::bindings {

namespace py = pybind11;

// One order is an array (L,), several are an array (T, L).
enum class Shape { one, several, any };

struct OrdersShape {
    std::size_t count;
    std::size_t length;
    bool single;
};

inline OrdersShape orders_shape(const py::array& array, const std::string& name, Shape allowed) {
    const auto dimensions = array.ndim();
    const bool fits =
        (dimensions == 1 && allowed != Shape::several) || (dimensions == 2 && allowed != Shape::one);
    if (!fits) {
        const std::string expected = allowed == Shape::one       ? "one order of shape (L,)"
                                     : allowed == Shape::several ? "orders of shape (T, L)"
                                                                 : "orders of shape (L,) or (T, L)";
        throw py::value_error(name + ": expected " + expected + ", got " + std::to_string(dimensions) +
                              (dimensions == 1 ? " dimension" : " dimensions"));
    }
    const auto length = static_cast<std::size_t>(array.shape(dimensions - 1));
    if (length < 1 || length > max_length) {
        throw py::value_error(name + ": an order has from 1 to " + std::to_string(max_length) +
                              " slots, got " + std::to_string(length));
    }
    return {dimensions == 1 ? 1 : static_cast<std::size_t>(array.shape(0)), length, dimensions == 1};
}

// Calls visit(values) with a pointer to the C-contiguous values in the array's own integer type, GIL
// released.
template <class Visit>
void visit_integers(const py::array& array, const std::string& name, Visit visit) {
    const auto as = [&]<class Value>(std::type_identity<Value>) {
        const py::array_t<Value, py::array::c_style | py::array::forcecast> values(array);
        const Value* data = values.data();
        const Unlocked unlocked;
        visit(data);
    };
    const auto dtype = array.dtype();
    const char kind = dtype.kind();
    if (kind != 'i' && kind != 'u') {
        throw py::type_error(name + ": expected integers, got " + py::str(dtype).cast<std::string>());
    }
    switch (dtype.itemsize()) {
        case 1:
            return kind == 'i' ? as(std::type_identity<std::int8_t>{})
                               : as(std::type_identity<std::uint8_t>{});
        case 2:
            return kind == 'i' ? as(std::type_identity<std::int16_t>{})
                               : as(std::type_identity<std::uint16_t>{});
        case 4:
            return kind == 'i' ? as(std::type_identity<std::int32_t>{})
                               : as(std::type_identity<std::uint32_t>{});
        default:
            return kind == 'i' ? as(std::type_identity<std::int64_t>{})
                               : as(std::type_identity<std::uint64_t>{});
    }
}

// Throws unless all rows are permutations of 0..L-1, and copies them, if `copy` is not null. Needs no GIL.
template <class Step, class Value>
void require_permutations(const Value* values, const OrdersShape& shape, const std::string& name,
                          Step* copy) {
    const std::size_t bad = first_invalid(values, shape.count, shape.length, copy);
    if (bad < shape.count) {
        throw std::invalid_argument(name + ": " +
                                    (shape.single ? "" : "row " + std::to_string(bad) + " is ") +
                                    "not a permutation of 0.." + std::to_string(shape.length - 1));
    }
}

// Checked orders in compact steps.
template <class Step>
std::vector<Step> pack(const py::array& array, const OrdersShape& shape, const std::string& name) {
    std::vector<Step> steps(shape.count * shape.length);
    visit_integers(array, name,
                   [&](const auto* values) { require_permutations(values, shape, name, steps.data()); });
    return steps;
}

// Calls run.operator()<Step>() with the compact type for orders of this length.
template <class Run>
auto with_step(std::size_t length, Run run) {
    return length <= max_byte_length ? run.template operator()<std::uint8_t>()
                                     : run.template operator()<std::uint16_t>();
}

// Compact rows as a new array (T, L).
template <class Step>
py::array_t<std::int64_t> unpack(const std::vector<Step>& rows, std::size_t length) {
    py::array_t<std::int64_t> result({rows.size() / length, length});
    auto* out = result.mutable_data();
    {
        const Unlocked unlocked;
        std::copy(rows.begin(), rows.end(), out);
    }
    return result;
}

}  // namespace pyorder::bindings
