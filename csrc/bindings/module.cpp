// The compiled part of pyorder: registers one submodule a noun, and nothing else.
#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
    using namespace pyorder::bindings;
    module.doc() = "The compiled part of pyorder.";

    register_linear_ordering(module.def_submodule("linear_ordering"));
    register_moves(module.def_submodule("moves"));
    register_permutation(module.def_submodule("permutation"));
    register_poset(module.def_submodule("poset"));
    register_row_index(module.def_submodule("row_index"));
    register_safetensors(module.def_submodule("safetensors"));
    register_tasks(module.def_submodule("tasks"));
}
