#include "bindings.hpp"
namespace pyorder::bindings { void register_tasks(pybind11::module_) {} }
