#include "safetensors.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <system_error>

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

class Mapping {
  public:
    explicit Mapping(const std::filesystem::path& path) {
        // Without O_NONBLOCK, opening a named pipe waits for a writer.
        const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        if (file.number() < 0) fail("open");
        struct stat status{};
        if (::fstat(file.number(), &status) != 0) fail("fstat");
        if (S_ISDIR(status.st_mode)) throw std::system_error(EISDIR, std::generic_category(), "open");
        if (!S_ISREG(status.st_mode)) refuse("not a regular file");
        size_ = static_cast<std::size_t>(status.st_size);
        if (size_ < length_bytes) {
            refuse("the file has " + bytes(size_) + ", fewer than the 8 of the header length");
        }
        address_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number(), 0);
        if (address_ == MAP_FAILED) fail("mmap");
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() {
        if (address_ != MAP_FAILED) ::munmap(address_, size_);
    }

    std::span<const std::byte> data() const { return {static_cast<const std::byte*>(address_), size_}; }

  private:
    void* address_ = MAP_FAILED;
    std::size_t size_ = 0;
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
    refuse(tensor + " has the unknown dtype " + json::quote(name));
}

std::vector<std::uint64_t> integers(const std::string& what, const json::Value& value) {
    const auto* const items = value.as<json::Array>();
    if (items == nullptr) refuse(what + " is not an array");
    std::vector<std::uint64_t> numbers;
    for (const json::Value& item : *items) {
        const auto* const number = item.as<std::uint64_t>();
        if (number == nullptr) refuse(what + " holds something else than unsigned integers");
        numbers.push_back(*number);
    }
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

Declared read_tensor(const std::string& name, const json::Value& value) {
    const std::string what = "tensor " + json::quote(name);
    const auto* const fields = value.as<json::Object>();
    if (fields == nullptr) refuse(what + " is not described by an object");
    const json::Value* dtype = nullptr;
    const json::Value* shape = nullptr;
    const json::Value* offsets = nullptr;
    for (const auto& [key, field] : *fields) {
        if (key == "dtype") {
            dtype = &field;
        } else if (key == "shape") {
            shape = &field;
        } else if (key == "data_offsets") {
            offsets = &field;
        } else {
            refuse(what + " has the unknown key " + json::quote(key));
        }
    }
    if (dtype == nullptr || shape == nullptr || offsets == nullptr) {
        refuse(what + " lacks one of dtype, shape and data_offsets");
    }
    const auto* const dtype_name = dtype->as<std::string>();
    if (dtype_name == nullptr) refuse("dtype of " + what + " is not a string");

    Declared declared{{name, find_dtype(what, *dtype_name), integers("shape of " + what, *shape), {}}, 0, 0};
    const auto places = integers("data_offsets of " + what, *offsets);
    if (places.size() != 2 || places[0] > places[1])
        refuse("data_offsets of " + what + " are not [begin, end]");
    declared.begin = places[0];
    declared.end = places[1];
    const std::uint64_t needed = shape_bytes(what, declared.tensor.shape, declared.tensor.dtype->bits);
    if (declared.end - declared.begin != needed) {
        refuse(what + " has a shape and dtype of " + bytes(needed) + ", but data_offsets of " +
               bytes(declared.end - declared.begin));
    }
    return declared;
}

Metadata read_metadata(const json::Value& value) {
    const auto* const fields = value.as<json::Object>();
    if (fields == nullptr) refuse("__metadata__ is not an object");
    Metadata metadata;
    for (const auto& [key, field] : *fields) {
        const auto* const text = field.as<std::string>();
        if (text == nullptr) refuse("__metadata__ value of " + json::quote(key) + " is not a string");
        metadata.emplace_back(key, *text);
    }
    return metadata;
}

json::Object parse_header(std::span<const std::byte> file) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), length_bytes);
    if (length > max_header)
        refuse("the header length of " + bytes(length) + " is over the limit of 100000000");
    if (length > file.size() - length_bytes) {
        refuse("the header length of " + bytes(length) + " goes beyond the file of " + bytes(file.size()));
    }
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + length_bytes, length);
    if (!text.starts_with('{')) refuse("the header does not start with '{'");
    try {
        return *json::parse(text).as<json::Object>();
    } catch (const std::invalid_argument& error) {
        refuse(std::string("invalid JSON in the header: ") + error.what());
    }
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

void sync(int file) {
    // Some file systems cannot synchronise a directory, and say EINVAL.
    if (::fsync(file) != 0 && errno != EINVAL) fail("fsync");
}

// A new file of a name of its own in a directory, removed at the end unless it was renamed.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path& directory)
        : path_(unused_name(directory)), file_(create()) {}
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }

    int number() const { return file_.number(); }

    // A file that is replaced keeps its permissions: private data stays private.
    void take_permissions(const std::filesystem::path& target) {
        struct stat status{};
        if (::stat(target.c_str(), &status) == 0 && ::fchmod(number(), status.st_mode & 0777) != 0) {
            fail("fchmod");
        }
    }

    void rename(const std::filesystem::path& target) {
        if (::rename(path_.c_str(), target.c_str()) != 0) fail("rename");
        path_.clear();
    }

  private:
    static std::filesystem::path unused_name(const std::filesystem::path& directory) {
        static std::atomic<unsigned> counter{0};
        return directory /
               (".pyorder-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp");
    }

    // The name is taken only where a process of the same number was killed while it wrote.
    int create() {
        const std::filesystem::path directory = path_.parent_path();
        while (true) {
            const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (file >= 0) return file;
            if (errno != EEXIST) fail("open");
            path_ = unused_name(directory);
        }
    }

    std::filesystem::path path_;
    Descriptor file_;
};

// The path itself, or where the symbolic links there lead, if only to a name that is free yet: the file is
// replaced, not the link to it.
std::filesystem::path end_of_links(std::filesystem::path path) {
    for (int links = 0; std::filesystem::is_symlink(path); ++links) {
        if (links == 40) {
            errno = ELOOP;
            fail("open");
        }
        path = path.parent_path() / std::filesystem::read_symlink(path);
    }
    return path;
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
    const auto mapping = std::make_shared<const Mapping>(path);
    const std::span<const std::byte> file = mapping->data();
    std::uint64_t header_length = 0;
    std::memcpy(&header_length, file.data(), length_bytes);

    File result{mapping, {}, {}};
    std::vector<Declared> declared;
    for (const auto& [key, value] : parse_header(file)) {
        if (key == metadata_key) {
            result.metadata = read_metadata(value);
        } else {
            declared.push_back(read_tensor(key, value));
        }
    }

    const auto data = file.subspan(length_bytes + header_length);
    std::sort(declared.begin(), declared.end(), [](const Declared& a, const Declared& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t covered = 0;
    for (Declared& next : declared) {
        const std::string name = json::quote(next.tensor.name);
        if (next.begin < covered) refuse("the data of tensor " + name + " overlaps the data before it");
        if (next.begin > covered) refuse("there is a hole before the data of tensor " + name);
        if (next.end > data.size()) {
            refuse("the data of tensor " + name + " ends at byte " + std::to_string(next.end) +
                   ", but the file holds " + bytes(data.size()) + " of data");
        }
        covered = next.end;
        next.tensor.data = data.subspan(next.begin, next.end - next.begin);
        result.tensors.push_back(std::move(next.tensor));
    }
    if (covered != data.size()) {
        refuse("the header declares " + bytes(covered) + " of data, but the file holds " +
               bytes(data.size()));
    }
    return result;
}

void write(const std::filesystem::path& path, std::vector<Tensor> tensors, const Metadata& metadata) {
    for (const Tensor& tensor : tensors) {
        if (tensor.name == metadata_key) refuse("the name __metadata__ is reserved by the format");
        shape_bytes("tensor " + json::quote(tensor.name), tensor.shape, tensor.dtype->bits);
    }
    // Large elements first, so that every tensor lies at a multiple of its element size.
    std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
        return std::pair(b.dtype->bits, std::string_view(a.name)) <
               std::pair(a.dtype->bits, std::string_view(b.name));
    });
    const std::string header = make_header(tensors, metadata);
    const std::uint64_t header_length = header.size();
    const std::filesystem::path target = end_of_links(path);
    const std::filesystem::path directory = target.has_parent_path() ? target.parent_path() : ".";

    // All that can be refused is asked for before the target changes.
    const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.number() < 0) fail("open");
    TemporaryFile file(directory);
    file.take_permissions(target);
    write_all(file.number(), &header_length, length_bytes);
    write_all(file.number(), header.data(), header.size());
    for (const Tensor& tensor : tensors) write_all(file.number(), tensor.data.data(), tensor.data.size());
    sync(file.number());
    file.rename(target);
    sync(parent.number());
}

}  // namespace pyorder::safetensors
