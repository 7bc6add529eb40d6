#include "bindings.hpp"
namespace pyorder::bindings { void register_safetensors(pybind11::module_) {} }
