// Safetensors files (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON
// header of names, dtypes, shapes and offsets, then the data of all tensors without holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyorder::safetensors {

// A dtype of the format.
struct Dtype {
    std::string_view name;   // as in the header: "I16"
    std::string_view numpy;  // as in NumPy: "<i2"; empty where NumPy has none, as for BF16
    std::size_t bits;        // an element: 4 or more
};

std::span<const Dtype> dtypes();

struct Tensor {
    std::string name;
    const Dtype* dtype;
    std::vector<std::uint64_t> shape;
    std::span<const std::byte> data;
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

struct File {
    std::shared_ptr<const void> mapping;  // keeps the data of the tensors readable
    std::vector<Tensor> tensors;          // in the order of the data
    Metadata metadata;
};

// Maps a file into memory. Throws std::system_error when the system refuses, and std::invalid_argument, with
// the path and the reason, when the file breaks the format in any way. A file that is cut short while it is
// mapped ends the process when the missing part is read, as with every memory map.
File read(const std::filesystem::path& path);

// Writes a file so that at every moment the path holds what it held before or the whole new file: temporary
// file in the same directory, fsync, rename, fsync of the directory. Throws std::system_error, and
// std::invalid_argument for names that are reserved or not UTF-8.
void write(const std::filesystem::path& path, std::vector<Tensor> tensors, const Metadata& metadata);

}  // namespace pyorder::safetensors
