#include "bindings.hpp"
namespace pyorder::bindings { void register_permutation(pybind11::module_) {} }
