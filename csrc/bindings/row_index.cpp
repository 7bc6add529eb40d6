#include "row_index.hpp"

#include "arrays.hpp"
#include "bindings.hpp"

namespace pyorder::bindings {
namespace {

struct Table {
    std::size_t count;
    std::size_t width;
};

Table table_shape(const py::array& array, const char* name) {
    if (array.ndim() != 2) {
        throw py::value_error(std::string(name) + ": expected shape (N, X), got " +
                              py::str(array.attr("shape")).cast<std::string>());
    }
    return {static_cast<std::size_t>(array.shape(0)), static_cast<std::size_t>(array.shape(1))};
}

template <class Value>
Rows as_rows(const Value* values, const Table& shape) {
    return {reinterpret_cast<const std::byte*>(values), shape.count, shape.width * sizeof(Value)};
}

py::array_t<std::int64_t> groups(const py::array& rows) {
    const auto shape = table_shape(rows, "rows");
    py::array_t<std::int64_t> result(static_cast<py::ssize_t>(shape.count));
    auto* out = result.mutable_data();
    visit_integers(rows, "rows", [&](const auto* values) { group_rows(as_rows(values, shape), out); });
    return result;
}

py::array_t<bool> among(const py::array& rows, const py::array& known) {
    const auto shape = table_shape(rows, "rows");
    const auto known_shape = table_shape(known, "known");
    if (shape.width != known_shape.width) {
        throw py::value_error("rows: " + std::to_string(shape.width) + " columns, but known has " +
                              std::to_string(known_shape.width));
    }
    py::array_t<bool> result(static_cast<py::ssize_t>(shape.count));
    auto* out = result.mutable_data();
    visit_integers(known, "known", [&]<class Known>(const Known* known_values) {
        const RowIndex index(as_rows(known_values, known_shape));
        const py::gil_scoped_acquire acquire;  // to look at the other array
        visit_integers(rows, "rows", [&]<class Value>(const Value* values) {
            contains_values<Known>(index, values, shape.count, shape.width, out);
        });
    });
    return result;
}

}  // namespace

void register_row_index(py::module_ module) {
    using namespace py::literals;
    module.def("group_rows", &groups, "rows"_a);
    module.def("rows_among", &among, "rows"_a, "known"_a);
}

}  // namespace pyorder::bindings
