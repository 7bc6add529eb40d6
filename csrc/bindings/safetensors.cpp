#include "safetensors.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bindings.hpp"

namespace py = pybind11;

namespace pyorder::bindings {
namespace {

using namespace py::literals;

namespace st = pyorder::safetensors;

// Runs a call without the GIL; its errors become OSError with errno and path, or ValueError that names the
// path.
template <typename Call>
auto with_path(const std::filesystem::path& path, const char* verb, const Call& call) {
    try {
        const py::gil_scoped_release release;
        return call();
    } catch (const std::system_error& error) {
        const py::str name(py::cast(path));
        errno = error.code().value();  // after the conversion, which may set it too
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name.ptr());
        throw py::error_already_set();
    } catch (const std::invalid_argument& error) {
        const std::string name = py::cast<std::string>(py::repr(py::str(py::cast(path))));
        throw py::value_error(std::string("cannot ") + verb + " " + name + ": " + error.what());
    }
}

py::array make_array(const st::Tensor& tensor, const py::capsule& owner) {
    const std::vector<py::ssize_t> shape(tensor.shape.begin(), tensor.shape.end());
    py::array array(py::dtype(std::string(tensor.dtype->numpy)), shape, tensor.data.data(), owner);
    // Files of other writers may place elements anywhere; those are copied, as few users expect them.
    if (reinterpret_cast<std::uintptr_t>(tensor.data.data()) % (tensor.dtype->bits / 8) != 0)
        array = array.attr("copy")();
    array.attr("setflags")("write"_a = false);
    return array;
}

// Every name with its dtype, as the format calls it, and its shape.
py::dict list(const std::filesystem::path& path) {
    const auto tensors = with_path(path, "read", [&] { return st::list(path); });
    py::dict found;
    for (const st::Tensor& tensor : tensors) {
        found[py::str(tensor.name)] =
            py::make_tuple(std::string(tensor.dtype->name), py::tuple(py::cast(tensor.shape)));
    }
    return found;
}

using Tensors = std::unordered_map<std::string_view, const st::Tensor*>;  // by name

// Why a name that is asked for cannot be read, or nothing.
std::string objection(const st::File& file, const Tensors& tensors, const std::string& name) {
    const std::string quoted = py::cast<std::string>(py::repr(py::str(name)));
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
        std::string all;
        for (const st::Tensor& tensor : file.tensors) all += (all.empty() ? "" : ", ") + tensor.name;
        return "it has no array " + quoted + ", it has " + (all.empty() ? "none" : all);
    }
    const st::Dtype& dtype = *found->second->dtype;
    if (!dtype.numpy.empty()) return "";
    return "array " + quoted + " has the dtype " + std::string(dtype.name) + ", which NumPy lacks";
}

std::pair<py::dict, py::dict> read(const std::filesystem::path& path,
                                   std::optional<std::vector<std::string>> names) {
    const st::File file = with_path(path, "read", [&] { return st::read(path); });
    Tensors tensors;
    for (const st::Tensor& tensor : file.tensors) tensors.emplace(tensor.name, &tensor);
    if (!names) {
        names.emplace();
        for (const st::Tensor& tensor : file.tensors) names->push_back(tensor.name);
    }
    for (const std::string& name : *names) {
        if (const std::string why = objection(file, tensors, name); !why.empty()) {
            with_path(path, "read", [&] { throw std::invalid_argument(why); });
        }
    }
    // One owner for all arrays: the data stays until the last of them is gone.
    using Owner = std::shared_ptr<const std::byte>;
    const py::capsule owner(new Owner(file.data), [](void* pointer) { delete static_cast<Owner*>(pointer); });
    const std::unordered_set<std::string_view> wanted(names->begin(), names->end());
    py::dict arrays;
    for (const st::Tensor& tensor : file.tensors) {
        if (wanted.contains(tensor.name)) arrays[py::str(tensor.name)] = make_array(tensor, owner);
    }
    return {arrays, py::cast(file.metadata)};
}

const st::Dtype* find_dtype(const std::string& name, const py::array& array) {
    for (const st::Dtype& dtype : st::dtypes()) {
        if (!dtype.numpy.empty() && array.dtype().equal(py::dtype(std::string(dtype.numpy)))) return &dtype;
    }
    throw py::type_error("array '" + name + "' has dtype " + py::cast<std::string>(py::str(array.dtype())) +
                         ", which safetensors files do not hold");
}

void write(const std::filesystem::path& path, const std::map<std::string, py::array>& arrays,
           const st::Metadata& metadata) {
    std::vector<st::Tensor> tensors;
    for (const auto& [name, array] : arrays) {
        if ((array.flags() & py::array::c_style) == 0) {
            throw std::invalid_argument("array '" + name + "' is not contiguous in C order");
        }
        const std::vector<std::uint64_t> shape(array.shape(), array.shape() + array.ndim());
        const std::span data(static_cast<const std::byte*>(array.data()),
                             static_cast<std::size_t>(array.nbytes()));
        tensors.push_back({name, find_dtype(name, array), shape, data});
    }
    with_path(path, "write", [&] { st::write(path, std::move(tensors), metadata); });
}

}  // namespace

void register_safetensors(py::module_ module) {
    module.def("list", &list, "path"_a);
    module.def("read", &read, "path"_a, "names"_a = py::none());
    module.def("write", &write, "path"_a, "arrays"_a, "metadata"_a);
}

}  // namespace pyorder::bindings
