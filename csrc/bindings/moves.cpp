#include "bindings.hpp"
namespace pyorder::bindings { void register_moves(pybind11::module_) {} }
