// What every binding file offers to module.cpp: one registration function a noun.
#pragma once

#include <pybind11/pybind11.h>

namespace pyorder::bindings {

void register_linear_ordering(pybind11::module_ module);
void register_moves(pybind11::module_ module);
void register_permutation(pybind11::module_ module);
void register_poset(pybind11::module_ module);
void register_row_index(pybind11::module_ module);
void register_safetensors(pybind11::module_ module);
void register_tasks(pybind11::module_ module);

}  // namespace pyorder::bindings
