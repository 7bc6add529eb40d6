#include "poset.hpp"

#include <memory>
#include <mutex>
#include <utility>

#include "arrays.hpp"
#include "bindings.hpp"
#include "downsets.hpp"
#include "topological_sorts.hpp"
#include "unlocked.hpp"

namespace pyorder::bindings {
namespace {

// A graph can be changed while another thread, which has released the GIL, reads it.
struct SharedPoset {
    explicit SharedPoset(Poset start) : poset(std::move(start)) {}

    Poset poset;
    std::mutex mutex;
};

// Runs run(poset), which takes but a moment, without the GIL, while no other thread uses the poset.
template <class Run>
auto locked(SharedPoset& shared, Run run) {
    const py::gil_scoped_release release;
    const std::lock_guard guard(shared.mutex);
    return run(shared.poset);
}

// Runs run(poset), which may take long, on a copy: signals are seen to meanwhile, and their handlers may use
// the poset.
template <class Run>
auto copied(SharedPoset& shared, Run run) {
    const Poset poset = locked(shared, [](const Poset& whole) { return whole; });
    const Unlocked unlocked;
    return run(poset);
}

std::string cycle(const Poset& poset, std::size_t before, std::size_t after) {
    std::string text = std::to_string(after);
    if (before != after) {
        for (const std::size_t step : poset.path(after, before)) {
            text += step == after ? "" : " -> " + std::to_string(step);
        }
    }
    return text + " -> " + std::to_string(after);
}

std::unique_ptr<SharedPoset> make_poset(std::size_t length, const py::array& edges) {
    if (edges.ndim() != 2 || edges.shape(1) != 2) {
        throw py::value_error("edges: expected shape (E, 2), got " +
                              py::str(edges.attr("shape")).cast<std::string>());
    }
    const auto count = static_cast<std::size_t>(edges.shape(0));
    auto shared = std::make_unique<SharedPoset>(Poset(length));
    visit_integers(edges, "edges", [&](const auto* values) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto before = static_cast<std::uint64_t>(values[2 * i]);  // negative ones turn huge
            const auto after = static_cast<std::uint64_t>(values[2 * i + 1]);
            interruption_point(length * length / 64);
            const auto edge = [&] {
                return "edges: " + std::to_string(values[2 * i]) + " -> " + std::to_string(values[2 * i + 1]);
            };
            if (before >= length || after >= length) {
                throw std::invalid_argument(edge() + " is not between steps 0.." +
                                            std::to_string(length - 1));
            }
            if (!shared->poset.add(before, after)) {
                throw std::invalid_argument(edge() + " closes the cycle " +
                                            cycle(shared->poset, before, after));
            }
        }
    });
    return shared;
}

py::array_t<std::int64_t> to_array(const std::vector<Edge>& edges) {
    py::array_t<std::int64_t> result({edges.size(), std::size_t{2}});
    auto* out = result.mutable_data();
    for (const auto& [before, after] : edges) {
        *out++ = before;
        *out++ = after;
    }
    return result;
}

py::array_t<bool> closure(SharedPoset& shared) {
    const std::size_t length = shared.poset.length();
    py::array_t<bool> result({length, length});
    auto* out = result.mutable_data();
    copied(shared, [&](const Poset& poset) {
        for (std::size_t before = 0; before < length; ++before) {
            interruption_point(length);
            for (std::size_t after = 0; after < length; ++after) {
                *out++ = poset.precedes(before, after);
            }
        }
    });
    return result;
}

py::array_t<std::int64_t> sorts(SharedPoset& shared, std::size_t count, std::uint64_t seed) {
    py::array_t<std::int64_t> result({count, shared.poset.length()});
    auto* out = result.mutable_data();
    copied(shared, [&](const Poset& poset) { sample_sorts(poset, count, seed, out); });
    return result;
}

// Logarithms of one over the probability of each row of sorts().
py::array_t<double> sort_weights(SharedPoset& shared, std::size_t count, std::uint64_t seed) {
    py::array_t<double> result(static_cast<py::ssize_t>(count));
    auto* out = result.mutable_data();
    copied(shared, [&](const Poset& poset) {
        std::vector<std::int64_t> rows(count * poset.length());
        sample_sorts(poset, count, seed, rows.data(), out);
    });
    return result;
}

py::array_t<std::int64_t> uniform_sorts(SharedPoset& shared, std::size_t count, std::uint64_t seed,
                                        std::size_t limit) {
    py::array_t<std::int64_t> result({count, shared.poset.length()});
    auto* out = result.mutable_data();
    copied(shared, [&](const Poset& poset) { Downsets(poset, limit).sample(count, seed, out); });
    return result;
}

py::array_t<std::int64_t> walked_sorts(SharedPoset& shared, std::size_t count, std::uint64_t seed,
                                       std::uint64_t moves) {
    py::array_t<std::int64_t> result({count, shared.poset.length()});
    auto* out = result.mutable_data();
    copied(shared, [&](const Poset& poset) { walk_sorts(poset, count, seed, moves, out); });
    return result;
}

// For every connected part: its number of steps, and that of its sorts as bytes, the least significant first.
py::list count_sorts(SharedPoset& shared, std::size_t limit) {
    const auto downsets = copied(shared, [&](const Poset& poset) { return Downsets(poset, limit); });
    py::list counts;
    for (const auto& part : downsets.parts()) {
        std::string bytes;
        for (std::size_t byte = 0; byte < 8 * part.count_words; ++byte) {
            bytes.push_back(static_cast<char>(part.sorts()[byte / 8] >> 8 * (byte % 8) & 255));
        }
        counts.append(py::make_tuple(part.steps.size(), py::bytes(bytes)));
    }
    return counts;
}

std::uint64_t count_up_to(SharedPoset& shared, std::uint64_t most) {
    return copied(shared, [=](const Poset& poset) { return count_sorts_up_to(poset, most); });
}

py::array_t<std::int64_t> every_sort(SharedPoset& shared, std::size_t limit) {
    const auto rows = copied(shared, [&](const Poset& poset) { return all_sorts(poset, limit); });
    return unpack(rows, shared.poset.length());
}

// `sort` must be a sort of the poset: pyorder.posets checks.
py::array_t<std::int64_t> near_sorts(SharedPoset& shared, const py::array& sort, std::size_t distance,
                                     std::size_t limit) {
    const auto shape = orders_shape(sort, "sort", Shape::one);
    return with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(sort, shape, "sort");
        return unpack(copied(shared,
                             [&](const Poset& poset) {
                                 return sorts_near<Step>(poset, steps.data(), distance, limit);
                             }),
                      shape.length);
    });
}

py::array_t<double> satisfied_shares(SharedPoset& shared, const py::array& orders) {
    const auto shape = orders_shape(orders, "orders", Shape::several);
    if (shape.length != shared.poset.length()) {
        throw py::value_error("orders: " + std::to_string(shape.length) + " slots, but the poset has " +
                              std::to_string(shared.poset.length()) + " steps");
    }
    py::array_t<double> result(static_cast<py::ssize_t>(shape.count));
    auto* out = result.mutable_data();
    with_step(shape.length, [&]<class Step> {
        const auto steps = pack<Step>(orders, shape, "orders");
        copied(shared, [&](const Poset& poset) {
            satisfied(poset, Orders<Step>{steps.data(), shape.count, shape.length}, out);
        });
    });
    return result;
}

}  // namespace

void register_poset(py::module_ module) {
    using namespace py::literals;
    py::class_<SharedPoset>(module, "Poset")
        .def(py::init(&make_poset), "length"_a, "edges"_a)
        .def("copy",
             [](SharedPoset& shared) {
                 return locked(shared,
                               [](const Poset& poset) { return std::make_unique<SharedPoset>(poset); });
             })
        .def_property_readonly("length", [](const SharedPoset& shared) { return shared.poset.length(); })
        .def(
            "precedes",
            [](SharedPoset& shared, std::size_t before, std::size_t after) {
                return locked(shared, [=](const Poset& poset) { return poset.precedes(before, after); });
            },
            "before"_a, "after"_a)
        .def(
            "add",
            [](SharedPoset& shared, std::size_t before, std::size_t after) {
                return locked(shared, [=](Poset& poset) { return poset.add(before, after); });
            },
            "before"_a, "after"_a)
        .def(
            "remove",
            [](SharedPoset& shared, std::size_t before, std::size_t after) {
                return locked(shared, [=](Poset& poset) { return poset.remove(before, after); });
            },
            "before"_a, "after"_a)
        .def("edges",
             [](SharedPoset& shared) {
                 return to_array(copied(shared, [](const Poset& poset) { return poset.edges(); }));
             })
        .def("reduction",
             [](SharedPoset& shared) {
                 return to_array(copied(shared, [](const Poset& poset) { return poset.reduction(); }));
             })
        .def("closure", &closure)
        .def("sample_sorts", &sorts, "count"_a, "seed"_a)
        .def("sort_weights", &sort_weights, "count"_a, "seed"_a)
        .def("uniform_sorts", &uniform_sorts, "count"_a, "seed"_a, "limit"_a)
        .def("walked_sorts", &walked_sorts, "count"_a, "seed"_a, "moves"_a)
        .def("count_sorts", &count_sorts, "limit"_a)
        .def("count_sorts_up_to", &count_up_to, "most"_a)
        .def("every_sort", &every_sort, "limit"_a)
        .def("near_sorts", &near_sorts, "sort"_a, "distance"_a, "limit"_a)
        .def("satisfied", &satisfied_shares, "orders"_a);
}

}  // namespace pyorder::bindings
