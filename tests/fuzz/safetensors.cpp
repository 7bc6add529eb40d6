// A libFuzzer target: whatever bytes a file holds, reading it ends with what the file says or with a reason,
// within a bound of memory, and what is said is true of the bytes. tests/fuzz/run has the command.
#include "safetensors.hpp"

#include <fcntl.h>
#include <sanitizer/allocator_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

namespace st = pyorder::safetensors;

constexpr std::size_t length_bytes = 8;

// The most memory that a file may take: a small multiple of its bytes, and what an error needs.
constexpr std::size_t multiple = 24;
constexpr std::size_t constant = 16'384;

std::size_t in_use = 0;
std::size_t peak = 0;

void count_malloc(const volatile void* pointer, std::size_t) {
    in_use += __sanitizer_get_allocated_size(pointer);
    peak = std::max(peak, in_use);
}

void count_free(const volatile void* pointer) {
    if (pointer != nullptr) in_use -= __sanitizer_get_allocated_size(pointer);
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

// One file in memory for all inputs, read through its path as any other.
class MemoryFile {
  public:
    MemoryFile() : number_(::memfd_create("input", 0)), path_("/proc/self/fd/" + std::to_string(number_)) {
        require(number_ >= 0, "a file in memory can be made");
    }

    void hold(const std::uint8_t* data, std::size_t size) const {
        require(::ftruncate(number_, 0) == 0, "the file can be emptied");
        require(::pwrite(number_, data, size, 0) == static_cast<ssize_t>(size), "the file can be written");
    }

    const std::string& path() const { return path_; }

  private:
    int number_;
    std::string path_;
};

// The data of the tensors are the bytes of the file after the header, one after the other, all of them.
void check(const st::File& file, const std::uint8_t* data, std::size_t size) {
    std::uint64_t header = 0;
    std::memcpy(&header, data, length_bytes);
    const std::uint8_t* next = data + length_bytes + header;
    for (const st::Tensor& tensor : file.tensors) {
        unsigned __int128 bits = tensor.dtype->bits;
        for (const std::uint64_t extent : tensor.shape) bits *= extent;
        require(bits == static_cast<unsigned __int128>(tensor.data.size()) * 8, "a shape fills its data");
        require(std::memcmp(tensor.data.data(), next, tensor.data.size()) == 0, "data are those of the file");
        next += tensor.data.size();
    }
    require(next == data + size, "all data belong to a tensor");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    require(__sanitizer_install_malloc_and_free_hooks(count_malloc, count_free) != 0,
            "memory can be counted");
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const MemoryFile input;
    input.hold(data, size);
    const std::size_t before = in_use;
    peak = before;
    bool whole = true;
    try {
        check(st::read(input.path()), data, size);
    } catch (const std::invalid_argument& error) {
        whole = false;
        require(std::strchr(error.what(), '\n') == nullptr, "a reason is one line");
        require(std::strlen(error.what()) < 1000, "a reason is short");
    }
    require(in_use == before, "all memory is given back");
    require(peak - before <= multiple * size + constant, "memory is a small multiple of the file");
    try {
        st::list(input.path());
        require(whole, "what is listed can be read");
    } catch (const std::invalid_argument&) {
        require(!whole, "what can be read is listed");
    }
    return 0;
}

// Of most mutations the header's length would be wrong and nothing else be seen: it is set right after three
// of four.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < length_bytes || seed % 4 == 0) return size;
    const auto* const begin = data + length_bytes;
    const auto* const end = data + size;
    const auto* last = end;
    while (last != begin && last[-1] != '}') --last;
    const std::uint64_t length = static_cast<std::uint64_t>((last == begin ? end : last) - begin);
    std::memcpy(data, &length, length_bytes);
    return size;
}
