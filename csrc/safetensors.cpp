#include "safetensors.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "json.hpp"

namespace pyorder::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and data is not converted");

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header = 100'000'000;  // the official limit
constexpr std::size_t max_dimensions = 32;         // NumPy's limit before version 2
constexpr std::string_view metadata_key = "__metadata__";

constexpr std::array<Dtype, 22> known{
    {{"BOOL", "|b1", 8}, {"U8", "|u1", 8},       {"I8", "|i1", 8},       {"U16", "<u2", 16},
     {"I16", "<i2", 16}, {"F16", "<f2", 16},     {"U32", "<u4", 32},     {"I32", "<i4", 32},
     {"F32", "<f4", 32}, {"U64", "<u8", 64},     {"I64", "<i8", 64},     {"F64", "<f8", 64},
     {"C64", "<c8", 64}, {"BF16", "", 16},       {"F8_E4M3", "", 8},     {"F8_E5M2", "", 8},
     {"F8_E8M0", "", 8}, {"F8_E4M3FNUZ", "", 8}, {"F8_E5M2FNUZ", "", 8}, {"F6_E2M3", "", 6},
     {"F6_E3M2", "", 6}, {"F4", "", 4}}};

[[noreturn]] void refuse(const std::string& reason) { throw std::invalid_argument(reason); }

[[noreturn]] void fail(const char* action) {
    throw std::system_error(errno, std::generic_category(), action);
}

std::string bytes(std::uint64_t count) { return std::to_string(count) + " bytes"; }

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    int number() const { return number_; }

  private:
    int number_;
};

// A regular file that is open for reading, and the size that it had then.
class Source {
  public:
    // Without O_NONBLOCK, opening a named pipe waits for a writer.
    explicit Source(const std::filesystem::path& path)
        : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
        if (file_.number() < 0) fail("open");
        struct stat status{};
        if (::fstat(file_.number(), &status) != 0) fail("fstat");
        if (S_ISDIR(status.st_mode)) throw std::system_error(EISDIR, std::generic_category(), "open");
        if (!S_ISREG(status.st_mode)) refuse("not a regular file");
        size_ = static_cast<std::uint64_t>(status.st_size);
    }

    std::uint64_t size() const { return size_; }

    // Copies a part of the file, which another program may have cut since it was opened.
    void copy(void* out, std::uint64_t begin, std::size_t size) const {
        char* next = static_cast<char*>(out);
        while (size > 0) {
            const ssize_t got = ::pread(file_.number(), next, size, static_cast<off_t>(begin));
            if (got < 0) {
                if (errno == EINTR) continue;
                fail("read");
            }
            if (got == 0) refuse("the file was cut while it was read");
            next += got;
            begin += static_cast<std::uint64_t>(got);
            size -= static_cast<std::size_t>(got);
        }
    }

    // The rest of the file: a copy, or mapped where it is large.
    std::shared_ptr<const std::byte> load(std::uint64_t begin) const {
        const std::uint64_t size = size_ - begin;
        if (size <= copied_bytes) {
            const std::shared_ptr<std::byte[]> bytes(new std::byte[size]);
            copy(bytes.get(), begin, size);
            return {bytes, bytes.get()};
        }
        // A private mapping: who writes to it in spite of NumPy's flag, as tensors do, changes a copy of his
        // own.
        void* const address =
            ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file_.number(), 0);
        if (address == MAP_FAILED) fail("mmap");
        const std::shared_ptr<void> mapping(address,
                                            [mapped = size_](void* start) { ::munmap(start, mapped); });
        return {mapping, static_cast<const std::byte*>(address) + begin};
    }

  private:
    Descriptor file_;
    std::uint64_t size_ = 0;
};

// A tensor as the header declares it, with its place in the data.
struct Declared {
    Tensor tensor;
    std::uint64_t begin;
    std::uint64_t end;
};

const Dtype* find_dtype(const std::string& tensor, const std::string& name) {
    for (const Dtype& dtype : known) {
        if (dtype.name == name) return &dtype;
    }
    refuse(tensor + " has the unknown dtype " + json::excerpt(name));
}

std::vector<std::uint64_t> integers(json::Reader& header, const std::string& what, std::size_t most) {
    if (header.next() != json::Kind::array) refuse(what + " is not an array");
    std::vector<std::uint64_t> numbers;
    header.array([&] {
        if (numbers.size() == most) refuse(what + " holds more than " + std::to_string(most) + " numbers");
        if (header.next() != json::Kind::integer)
            refuse(what + " holds something else than unsigned integers");
        numbers.push_back(header.integer());
    });
    return numbers;
}

// The bytes that a shape takes. Zeros count as ones in the check, as in NumPy, so that strides fit as well.
std::uint64_t shape_bytes(const std::string& tensor, const std::vector<std::uint64_t>& shape,
                          std::size_t bits) {
    if (shape.size() > max_dimensions) refuse(tensor + " has more than 32 dimensions");
    std::uint64_t elements = 1;
    bool empty = false;
    for (const std::uint64_t extent : shape) {
        empty = empty || extent == 0;
        if (__builtin_mul_overflow(elements, std::max<std::uint64_t>(extent, 1), &elements)) {
            refuse(tensor + " has a shape that overflows");
        }
    }
    const unsigned __int128 product = static_cast<unsigned __int128>(elements) * bits;
    if (product / 8 > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        refuse(tensor + " has a shape that overflows");
    }
    if (empty) return 0;
    if (product % 8 != 0) refuse(tensor + " has a shape that ends within a byte");
    return static_cast<std::uint64_t>(product / 8);
}

Declared read_tensor(json::Reader& header, const std::string& name) {
    const std::string what = "tensor " + json::excerpt(name);
    if (header.next() != json::Kind::object) refuse(what + " is not described by an object");
    const Dtype* dtype = nullptr;
    std::optional<std::vector<std::uint64_t>> shape;
    std::optional<std::vector<std::uint64_t>> places;
    header.object([&](const std::string& key) {
        if (key == "dtype") {
            if (header.next() != json::Kind::string) refuse("dtype of " + what + " is not a string");
            dtype = find_dtype(what, header.string());
        } else if (key == "shape") {
            shape = integers(header, "shape of " + what, max_dimensions);
        } else if (key == "data_offsets") {
            places = integers(header, "data_offsets of " + what, 2);
        } else {
            refuse(what + " has the unknown key " + json::excerpt(key));
        }
    });
    if (dtype == nullptr || !shape || !places) refuse(what + " lacks one of dtype, shape and data_offsets");
    if (places->size() != 2 || places->front() > places->back()) {
        refuse("data_offsets of " + what + " are not [begin, end]");
    }
    const std::uint64_t begin = places->front();
    const std::uint64_t end = places->back();
    const std::uint64_t needed = shape_bytes(what, *shape, dtype->bits);
    if (end - begin != needed) {
        refuse(what + " has a shape and dtype of " + bytes(needed) + ", but data_offsets of " +
               bytes(end - begin));
    }
    return {{name, dtype, std::move(*shape), {}}, begin, end};
}

Metadata read_metadata(json::Reader& header) {
    if (header.next() != json::Kind::object) refuse("__metadata__ is not an object");
    Metadata metadata;
    header.object([&](const std::string& key) {
        if (header.next() != json::Kind::string) {
            refuse("__metadata__ value of " + json::excerpt(key) + " is not a string");
        }
        metadata.emplace(key, header.string());
    });
    return metadata;
}

// What the header says, where it agrees with itself and with the size of the file.
struct Header {
    std::vector<Declared> declared;  // in the order of the data
    Metadata metadata;
    std::uint64_t end;  // where the data begins
};

// Refuses data that overlaps, has holes or is not as long as the file's.
void check_places(const std::vector<Declared>& declared, std::uint64_t size) {
    std::uint64_t covered = 0;
    for (const Declared& next : declared) {
        const auto refuse_data = [&](const char* what, const std::string& why) {
            refuse(what + json::excerpt(next.tensor.name) + why);
        };
        if (next.begin < covered) refuse_data("the data of tensor ", " overlaps the data before it");
        if (next.begin > covered) refuse_data("there is a hole before the data of tensor ", "");
        if (next.end > size) {
            refuse_data("the data of tensor ", " ends at byte " + std::to_string(next.end) +
                                                   ", but the file holds " + bytes(size) + " of data");
        }
        covered = next.end;
    }
    if (covered != size) {
        refuse("the header declares " + bytes(covered) + " of data, but the file holds " + bytes(size));
    }
}

Header read_header(const Source& file) {
    if (file.size() < length_bytes) {
        refuse("the file has " + bytes(file.size()) + ", fewer than the 8 of the header length");
    }
    std::uint64_t length = 0;
    file.copy(&length, 0, length_bytes);
    if (length > max_header) {
        refuse("the header length of " + bytes(length) + " is over the limit of 100000000");
    }
    if (length > file.size() - length_bytes) {
        refuse("the header length of " + bytes(length) + " goes beyond the file of " + bytes(file.size()));
    }
    std::string text(length, '\0');
    file.copy(text.data(), length_bytes, length);
    if (!text.starts_with('{')) refuse("the header does not start with '{'");

    Header header{{}, {}, length_bytes + length};
    json::Reader reader(text);
    try {
        reader.object([&](const std::string& key) {
            if (key == metadata_key) {
                header.metadata = read_metadata(reader);
            } else {
                header.declared.push_back(read_tensor(reader, key));
            }
        });
        reader.end();
    } catch (const json::Error& error) {
        refuse(std::string("invalid JSON in the header: ") + error.what());
    }
    std::sort(header.declared.begin(), header.declared.end(), [](const Declared& a, const Declared& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    check_places(header.declared, file.size() - header.end);
    return header;
}

void write_all(int file, const void* data, std::size_t size) {
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t written = ::write(file, next, size);
        if (written < 0) {
            if (errno == EINTR) continue;
            fail("write");
        }
        next += written;
        size -= static_cast<std::size_t>(written);
    }
}

std::string make_header(const std::vector<Tensor>& tensors, const Metadata& metadata) {
    std::string header = "{";
    if (!metadata.empty()) {
        header += json::quote(metadata_key) + ":{";
        for (const auto& [key, text] : metadata) header += json::quote(key) + ":" + json::quote(text) + ",";
        header.back() = '}';
        header += ",";
    }
    std::uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
        header +=
            json::quote(tensor.name) + ":{\"dtype\":" + json::quote(tensor.dtype->name) + ",\"shape\":[";
        for (const std::uint64_t extent : tensor.shape) header += std::to_string(extent) + ",";
        if (!tensor.shape.empty()) header.pop_back();
        header += "],\"data_offsets\":[" + std::to_string(offset);
        offset += tensor.data.size();
        header += ",";
        header += std::to_string(offset) + "]},";
    }
    if (header.size() > 1) header.pop_back();
    header += "}";
    header.append((length_bytes - header.size() % length_bytes) % length_bytes, ' ');
    if (header.size() > max_header) refuse("names and metadata make a header of " + bytes(header.size()));
    return header;
}

}  // namespace

std::span<const Dtype> dtypes() { return known; }

File read(const std::filesystem::path& path) {
    const Source source(path);
    Header header = read_header(source);
    File file{source.load(header.end), {}, std::move(header.metadata)};
    for (Declared& next : header.declared) {
        next.tensor.data = {file.data.get() + next.begin, next.end - next.begin};
        file.tensors.push_back(std::move(next.tensor));
    }
    return file;
}

std::vector<Tensor> list(const std::filesystem::path& path) {
    std::vector<Tensor> tensors;
    for (Declared& next : read_header(Source(path)).declared) tensors.push_back(std::move(next.tensor));
    return tensors;
}

void write(const std::filesystem::path& path, std::vector<Tensor> tensors, const Metadata& metadata) {
    for (const Tensor& tensor : tensors) {
        if (tensor.name == metadata_key) refuse("the name __metadata__ is reserved by the format");
        shape_bytes("tensor " + json::excerpt(tensor.name), tensor.shape, tensor.dtype->bits);
    }
    // Large elements first, so that every tensor lies at a multiple of its element size.
    std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
        return std::pair(b.dtype->bits, std::string_view(a.name)) <
               std::pair(a.dtype->bits, std::string_view(b.name));
    });
    const std::string header = make_header(tensors, metadata);
    const std::uint64_t header_length = header.size();
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (file.number() < 0) fail("open");
    write_all(file.number(), &header_length, length_bytes);
    write_all(file.number(), header.data(), header.size());
    for (const Tensor& tensor : tensors) write_all(file.number(), tensor.data.data(), tensor.data.size());
}

}  // namespace pyorder::safetensors
