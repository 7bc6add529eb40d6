#include "tasks.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "delay_systems.hpp"
#include "interruption.hpp"
#include "task_tables.hpp"

namespace pyorder {
namespace {

constexpr std::int64_t max_value = std::numeric_limits<std::int16_t>::max();
constexpr Range signed_digit{-9, 9};

// y_i = (x^power + y^power) mod 19, as the residue in [-9, 9].
constexpr StepTable power_table(int power) {
    StepTable table{};
    for (int x = -9; x <= 9; ++x) {
        for (int y = -9; y <= 9; ++y) {
            int sum = 0;
            for (int base : {x, y}) sum += power == 2 ? base * base : base * base * base;
            const int residue = ((sum % 19) + 19) % 19;
            table[static_cast<std::size_t>(x + 9)][static_cast<std::size_t>(y + 9)] =
                static_cast<std::int8_t>(residue > 9 ? residue - 19 : residue);
        }
    }
    return table;
}

constexpr StepTable square_table = power_table(2);
constexpr StepTable cubic_table = power_table(3);

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

// Every step depends on the `reach` steps before it.
std::vector<Dependency> chain_dependencies(std::size_t length, std::size_t reach) {
    std::vector<Dependency> found;
    for (std::size_t after = 1; after < length; ++after) {
        for (std::size_t before = after - std::min(reach, after); before < after; ++before) {
            found.push_back({before, after});
        }
    }
    return found;
}

// y_1 = x_1, y_i = max(x_i + y_{i-1}, 0).
class Relu final : public Task {
  public:
    explicit Relu(std::int64_t given_length) {
        check_range("length of relu", given_length, {2, max_value / 9});  // y can grow by 9 a step
        input_range = signed_digit;
        target_range = {-9, 9 * given_length};
    }

    void compute_row(const std::int16_t* input, std::int16_t* target) const override {
        int y = target[0] = input[0];
        for (std::size_t i = 1; i < length; ++i) {
            y = std::max(input[i] + y, 0);
            target[i] = static_cast<std::int16_t>(y);
        }
    }

    std::vector<Dependency> dependencies() const override { return chain_dependencies(length, 1); }
};

// y_1 = x_1, y_i = table[x_i + 9][y_{i-1} + 9].
class TableChain final : public Task {
  public:
    TableChain(const StepTable& table, const std::string& given_name, std::int64_t given_length)
        : table_(table) {
        check_range("length of " + given_name, given_length, {2, max_value});
        input_range = target_range = signed_digit;
    }

    void compute_row(const std::int16_t* input, std::int16_t* target) const override {
        int y = target[0] = input[0];
        for (std::size_t i = 1; i < length; ++i) {
            y = table_[static_cast<std::size_t>(input[i] + 9)][static_cast<std::size_t>(y + 9)];
            target[i] = static_cast<std::int16_t>(y);
        }
    }

    std::vector<Dependency> dependencies() const override { return chain_dependencies(length, 1); }

  private:
    const StepTable& table_;
};

// y_1 = x_1, y_i = x_p with p = (y_{i-1} + ... + y_{i-d}) mod L, terms before the first left out.
class Index final : public Task {
  public:
    Index(std::int64_t given_length, std::int64_t d) : d_(static_cast<std::size_t>(d)) {
        check_range("length of index", given_length, {2, max_value});
        check_range("d of index at length " + std::to_string(given_length), d, {1, given_length});
        input_range = target_range = {0, given_length - 1};
    }

    void compute_row(const std::int16_t* input, std::int16_t* target) const override {
        target[0] = input[0];
        std::uint64_t sum = 0;
        for (std::size_t i = 1; i < length; ++i) {
            sum += static_cast<std::uint64_t>(target[i - 1]);
            if (i > d_) sum -= static_cast<std::uint64_t>(target[i - 1 - d_]);
            target[i] = input[sum % length];
        }
    }

    std::vector<Dependency> dependencies() const override { return chain_dependencies(length, d_); }

  private:
    std::size_t d_;
};

// X: the digits of a, then of b, floor(L/2) each, most significant first, as numbers are written.
// Y: the L digits of a * b, least significant first, as carries run.
class Prod final : public Task {
  public:
    Prod(std::int64_t given_length, std::int64_t base) : base_(static_cast<std::uint64_t>(base)) {
        check_range("length of prod", given_length, {2, max_value});
        check_range("base of prod", base, {2, max_value});
        input_length = 2 * (static_cast<std::size_t>(given_length) / 2);
        input_range = target_range = {0, base - 1};
    }

    void compute_row(const std::int16_t* input, std::int16_t* target) const override {
        const std::size_t digits = input_length / 2;
        const std::int16_t* const a_end = input + digits;
        const std::int16_t* const b_end = a_end + digits;
        std::uint64_t carry = 0;
        for (std::size_t place = 0; place < length; ++place) {
            const std::size_t first = place < digits ? 0 : place - digits + 1;
            for (std::size_t i = first; i < std::min(place + 1, digits); ++i) {
                const auto a = static_cast<std::uint64_t>(*(a_end - 1 - i));
                const auto b = static_cast<std::uint64_t>(*(b_end - 1 - (place - i)));
                carry += a * b;
            }
            target[place] = static_cast<std::int16_t>(carry % base_);
            carry /= base_;
        }
    }

    // A digit is no function of other digits, but of sums that are no steps.
    std::vector<Dependency> dependencies() const override { return {}; }

  private:
    std::uint64_t base_;
};

using Factory = std::unique_ptr<Task> (*)(const std::string& name, std::int64_t length, const Parameters&);

std::unique_ptr<Task> make_relu(const std::string&, std::int64_t length, const Parameters&) {
    return std::make_unique<Relu>(length);
}

template <const StepTable& table>
std::unique_ptr<Task> make_chain(const std::string& name, std::int64_t length, const Parameters&) {
    return std::make_unique<TableChain>(table, name, length);
}

std::unique_ptr<Task> make_index(const std::string&, std::int64_t length, const Parameters& parameters) {
    return std::make_unique<Index>(length, parameters.at("d"));
}

std::unique_ptr<Task> make_prod(const std::string&, std::int64_t length, const Parameters& parameters) {
    return std::make_unique<Prod>(length, parameters.at("base"));
}

template <class System>
std::unique_ptr<Task> make_delay(const std::string& name, std::int64_t length, const Parameters& parameters) {
    return std::make_unique<System>(name, length, parameters);
}

struct Entry {
    std::string name;
    Parameters defaults;
    Factory make;
};

const std::array<Entry, 11>& entries() {
    static const std::array<Entry, 11> all{
        {{"relu", {}, make_relu},
         {"square", {}, make_chain<square_table>},
         {"cubic", {}, make_chain<cubic_table>},
         {"sine", {}, make_chain<sine_table>},
         {"triangle", {}, make_chain<triangle_table>},
         {"mlp", {}, make_chain<mlp_table>},
         {"index", {{"d", 2}}, make_index},
         {"prod", {{"base", 10}}, make_prod},
         {"delay_chain", {{"variables", 4}, {"delay", 1}, {"coupling", 1}}, make_delay<DelayChain>},
         {"delay_ring", {{"variables", 4}, {"delays", 3}, {"coupling", 1}}, make_delay<DelayRing>},
         {"delay_slow", {{"variables", 4}, {"delay", 3}, {"coupling", 1}}, make_delay<DelaySlow>}}};
    return all;
}

// Calls body(begin, end) on contiguous parts of [0, rows), one a thread: a block of rows at a time, between
// which the call may be interrupted.
template <typename Body>
void parallel_for(const Task& task, std::size_t rows, unsigned threads, const Body& body) {
    constexpr std::size_t least_rows = 256;  // fewer are done before a thread has started
    constexpr std::size_t block_values = 1 << 24;
    const std::size_t wanted = threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
    const std::size_t width = task.input_length + task.length;
    const std::size_t block = std::max(block_values / width, least_rows * wanted);
    for (std::size_t first = 0; first < rows; first += block) {
        const std::size_t count = std::min(block, rows - first);
        interruption_point(count * width);
        const std::size_t parts = std::clamp<std::size_t>(count / least_rows, 1, wanted);
        const auto begin = [=](std::size_t part) { return first + count * part / parts; };
        std::vector<std::jthread> workers;
        for (std::size_t part = 1; part < parts; ++part) {
            workers.emplace_back([&, part] { body(begin(part), begin(part + 1)); });
        }
        body(begin(0), begin(1));
    }
}

void draw_row(const Task& task, Philox random, std::int16_t* input) {
    const std::uint32_t size = task.input_range.size();
    const auto low = static_cast<std::int32_t>(task.input_range.low);
    for (std::size_t i = 0; i < task.input_length; ++i) {
        input[i] = static_cast<std::int16_t>(low + static_cast<std::int32_t>(random.below(size)));
    }
}

// size^length, or the largest number when that is too small to hold it.
std::uint64_t input_count(const Task& task) {
    std::uint64_t count = 1;
    for (std::size_t i = 0; i < task.input_length; ++i) {
        if (__builtin_mul_overflow(count, std::uint64_t{task.input_range.size()}, &count)) {
            return std::numeric_limits<std::uint64_t>::max();
        }
    }
    return count;
}

}  // namespace

void check_range(const std::string& what, std::int64_t value, Range allowed) {
    if (value < allowed.low || value > allowed.high) {
        refuse(what + " must be in [" + std::to_string(allowed.low) + ", " + std::to_string(allowed.high) +
               "], got " + std::to_string(value));
    }
}

std::vector<std::string> task_names() {
    std::vector<std::string> names;
    for (const Entry& entry : entries()) names.push_back(entry.name);
    return names;
}

std::unique_ptr<Task> make_task(const std::string& name, std::int64_t length, const Parameters& given) {
    const auto& all = entries();
    const auto entry = std::find_if(all.begin(), all.end(), [&](const Entry& e) { return name == e.name; });
    if (entry == all.end()) {
        std::string known;
        for (const Entry& e : all) known += (known.empty() ? "" : ", ") + e.name;
        refuse("unknown task '" + name + "': the tasks are " + known);
    }
    Parameters parameters = entry->defaults;
    for (const auto& [key, value] : given) {
        if (!parameters.contains(key)) {
            std::string known;
            for (const auto& allowed : parameters) known += (known.empty() ? "" : ", ") + allowed.first;
            refuse("unknown parameter '" + key + "': " + name + " takes " +
                   (known.empty() ? "no parameters" : known));
        }
        parameters[key] = value;
    }
    std::unique_ptr<Task> task = entry->make(name, length, parameters);
    task->name = name;
    task->length = static_cast<std::size_t>(length);
    task->parameters = std::move(parameters);
    if (task->input_length == 0) task->input_length = task->length;
    return task;
}

void compute(const Task& task, std::size_t rows, unsigned threads, const std::int16_t* inputs,
             std::int16_t* targets) {
    const std::size_t values = rows * task.input_length;
    const auto [low, high] = task.input_range;  // beyond it, a row would read outside its table
    for (std::size_t i = 0; i < values; ++i) {
        if (inputs[i] < low || inputs[i] > high) {
            check_range("inputs of " + task.name + " (row " + std::to_string(i / task.input_length) +
                            ", column " + std::to_string(i % task.input_length) + ")",
                        inputs[i], task.input_range);
        }
    }
    parallel_for(task, rows, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            task.compute_row(inputs + row * task.input_length, targets + row * task.length);
        }
    });
}

void generate(const Task& task, std::size_t rows, std::uint64_t seed, std::uint64_t stream, unsigned threads,
              std::int16_t* inputs, std::int16_t* targets) {
    parallel_for(task, rows, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            std::int16_t* const input = inputs + row * task.input_length;
            draw_row(task, Philox(seed, stream, row), input);
            task.compute_row(input, targets + row * task.length);
        }
    });
}

void generate_unseen(const Task& task, std::size_t rows, std::uint64_t seed, std::uint64_t stream,
                     std::span<const std::span<const std::int16_t>> seen, unsigned threads,
                     std::int16_t* inputs, std::int16_t* targets) {
    const std::size_t width = task.input_length;
    const auto key = [width](const std::int16_t* input) {
        return std::string_view(reinterpret_cast<const char*>(input), width * sizeof *input);
    };
    std::unordered_set<std::string_view> taken;
    for (const auto block : seen) {
        for (std::size_t begin = 0; begin < block.size(); begin += width) {
            interruption_point(4 * width);
            taken.insert(key(&block[begin]));
        }
    }
    const std::uint64_t count = input_count(task);
    if (taken.size() > count || count - taken.size() < rows) {
        refuse("cannot draw " + std::to_string(rows) + " unseen inputs: " + std::to_string(taken.size()) +
               " of " + std::to_string(count) + " are taken");
    }

    std::vector<std::int16_t> candidates;
    std::size_t kept = 0;
    for (std::uint64_t first = 0; kept < rows;) {
        const std::size_t batch = std::clamp<std::size_t>(rows - kept, 1024, 65536);
        candidates.resize(batch * width);
        parallel_for(task, batch, threads, [&](std::size_t begin, std::size_t end) {
            for (std::size_t row = begin; row < end; ++row) {
                draw_row(task, Philox(seed, stream, first + row), &candidates[row * width]);
            }
        });
        for (std::size_t row = 0; row < batch && kept < rows; ++row) {
            // The set refers to the copy in the result, which outlives the batch.
            std::int16_t* const place = inputs + kept * width;
            std::memcpy(place, &candidates[row * width], width * sizeof *place);
            if (taken.insert(key(place)).second) ++kept;
        }
        first += batch;
    }
    compute(task, rows, threads, inputs, targets);
}

}  // namespace pyorder
