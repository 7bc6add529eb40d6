#include "tasks.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace pyorder::bindings {
namespace {

using Rows = py::array_t<std::int16_t, py::array::c_style>;

void check_inputs(const Task& task, const Rows& inputs) {
    if (inputs.ndim() != 2 || inputs.shape(1) != static_cast<py::ssize_t>(task.input_length)) {
        throw std::invalid_argument("inputs of " + task.name + " must have shape (rows, " +
                                    std::to_string(task.input_length) + ")");
    }
}

std::pair<Rows, Rows> empty_rows(const Task& task, std::size_t rows) {
    return {Rows({rows, task.input_length}), Rows({rows, task.length})};
}

std::pair<Rows, Rows> generate_rows(const Task& task, std::size_t rows, std::uint64_t seed,
                                    std::uint64_t stream, unsigned threads) {
    auto [inputs, targets] = empty_rows(task, rows);
    std::int16_t* const x = inputs.mutable_data();
    std::int16_t* const y = targets.mutable_data();
    {
        const Unlocked unlocked;
        generate(task, rows, seed, stream, threads, x, y);
    }
    return {inputs, targets};
}

std::pair<Rows, Rows> generate_unseen_rows(const Task& task, std::size_t rows, std::uint64_t seed,
                                           std::uint64_t stream, const std::vector<Rows>& seen,
                                           unsigned threads) {
    std::vector<std::span<const std::int16_t>> blocks;
    for (const Rows& block : seen) {
        check_inputs(task, block);
        blocks.emplace_back(block.data(), static_cast<std::size_t>(block.size()));
    }
    auto [inputs, targets] = empty_rows(task, rows);
    std::int16_t* const x = inputs.mutable_data();
    std::int16_t* const y = targets.mutable_data();
    {
        const Unlocked unlocked;
        generate_unseen(task, rows, seed, stream, blocks, threads, x, y);
    }
    return {inputs, targets};
}

Rows compute_rows(const Task& task, const Rows& inputs, unsigned threads) {
    check_inputs(task, inputs);
    const auto rows = static_cast<std::size_t>(inputs.shape(0));
    Rows targets({rows, task.length});
    const std::int16_t* const x = inputs.data();
    std::int16_t* const y = targets.mutable_data();
    {
        const Unlocked unlocked;
        compute(task, rows, threads, x, y);
    }
    return targets;
}

// The two raw streams are offered for comparison with NumPy's Philox.
template <typename Number, typename Draw>
py::array_t<Number> draw_numbers(std::uint64_t seed, std::uint64_t stream, std::uint64_t row,
                                 std::size_t count, Draw draw) {
    py::array_t<Number> numbers(static_cast<py::ssize_t>(count));
    Number* const out = numbers.mutable_data();
    {
        const Unlocked unlocked;
        Philox random(seed, stream, row);
        for (std::size_t i = 0; i < count; ++i) out[i] = draw(random);
    }
    return numbers;
}

}  // namespace

void register_tasks(py::module_ module) {
    using namespace py::literals;
    module.def("task_names", &task_names);
    py::class_<Task>(module, "Task")
        .def(py::init(&make_task), "name"_a, "length"_a, "parameters"_a)
        .def_readonly("name", &Task::name)
        .def_readonly("length", &Task::length)
        .def_readonly("input_length", &Task::input_length)
        .def_readonly("parameters", &Task::parameters)
        .def_property_readonly(
            "input_range",
            [](const Task& task) { return std::pair(task.input_range.low, task.input_range.high); })
        .def_property_readonly(
            "target_range",
            [](const Task& task) { return std::pair(task.target_range.low, task.target_range.high); })
        .def_property_readonly("dependencies",
                               [](const Task& task) {
                                   std::vector<std::pair<std::size_t, std::size_t>> pairs;
                                   for (const auto& [before, after] : task.dependencies()) {
                                       pairs.emplace_back(before, after);
                                   }
                                   return pairs;
                               })
        .def("generate", &generate_rows, "rows"_a, "seed"_a, "stream"_a, "threads"_a)
        .def("generate_unseen", &generate_unseen_rows, "rows"_a, "seed"_a, "stream"_a, "seen"_a, "threads"_a)
        .def("compute", &compute_rows, "inputs"_a, "threads"_a);

    module.def(
        "philox",
        [](std::uint64_t seed, std::uint64_t stream, std::uint64_t row, std::size_t count) {
            return draw_numbers<std::uint64_t>(seed, stream, row, count,
                                               [](Philox& random) { return random.next(); });
        },
        "seed"_a, "stream"_a, "row"_a, "count"_a);
    module.def(
        "philox_below",
        [](std::uint64_t seed, std::uint64_t stream, std::uint64_t row, std::size_t count,
           std::uint32_t bound) {
            if (bound == 0) throw std::invalid_argument("bound must be at least 1, got 0");
            return draw_numbers<std::uint32_t>(seed, stream, row, count,
                                               [bound](Philox& random) { return random.below(bound); });
        },
        "seed"_a, "stream"_a, "row"_a, "count"_a, "bound"_a);
}

}  // namespace pyorder::bindings
