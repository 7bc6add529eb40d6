// Safetensors files (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON
// header of names, dtypes, shapes and offsets, then the data of all tensors without holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
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

using Metadata = std::map<std::string, std::string>;

struct File {
    std::shared_ptr<const std::byte> data;  // of all tensors
    std::vector<Tensor> tensors;            // in the order of the data
    Metadata metadata;
};

// Data of so many bytes or fewer is copied when a file is read, more is mapped.
inline constexpr std::size_t copied_bytes = std::size_t{64} << 20;

// Reads a file. Throws std::system_error when the system refuses, and std::invalid_argument, with the reason,
// when the file breaks the format in any way. What is copied is safe from whatever other programs do to the
// file. What is mapped shows what they write, and ends the process when a part that they have cut off is
// read, as with every memory map; it is safe from a file that is put in its place.
File read(const std::filesystem::path& path);

// The tensors of a file without their data. Throws as read does.
std::vector<Tensor> list(const std::filesystem::path& path);

// Writes a file, from its beginning: who wants the path to hold the whole or what it held before gives one of
// a new file, and renames that. Throws std::system_error, and std::invalid_argument for names that are
// reserved or not UTF-8.
void write(const std::filesystem::path& path, std::vector<Tensor> tensors, const Metadata& metadata);

}  // namespace pyorder::safetensors
