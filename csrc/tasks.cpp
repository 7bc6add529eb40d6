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
#include "prod.hpp"
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

using Factory = std::unique_ptr<Task> (*)(const std::string& name, std::int64_t length, const Parameters&);

std::unique_ptr<Task> make_relu(const std::string&, std::int64_t length, const Parameters&) {
    return std::make_unique<Relu>(length);
}

template <const StepTable& table>
std::unique_ptr<Task> make_chain(const std::string& name, std::int64_t length, const Parameters&) {
    return std::make_unique<TableChain>(table, name, length);
}

std::unique_ptr<Task> make_index(const std::string&, std::int64_t length, const Parameters& parameters) {
    return std::make_unique<Index>(length, integer(parameters, "d"));
}

std::unique_ptr<Task> make_prod(const std::string&, std::int64_t length, const Parameters& parameters) {
    return std::make_unique<Prod>(length, parameters);
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
         {"prod", {{"base", 10}, {"factors", ""}, {"rows", "uniform"}}, make_prod},
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

std::int64_t integer(const Parameters& parameters, const std::string& name) {
    return std::get<std::int64_t>(parameters.at(name));
}

void Task::draw_row(Philox& random, std::int16_t* input) const {
    const std::uint32_t size = input_range.size();
    const auto low = static_cast<std::int32_t>(input_range.low);
    for (std::size_t i = 0; i < input_length; ++i) {
        input[i] = static_cast<std::int16_t>(low + static_cast<std::int32_t>(random.below(size)));
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
        Parameter& place = parameters.at(key);
        if (place.index() != value.index()) {
            const auto* const number = std::get_if<std::int64_t>(&value);
            const std::string wanted = number == nullptr ? "an integer" : "text";
            refuse(key + " of " + name + " must be " + wanted + ", got " +
                   (number == nullptr ? "'" + std::get<std::string>(value) + "'" : std::to_string(*number)));
        }
        place = value;
    }
    std::unique_ptr<Task> task = entry->make(name, length, parameters);
    task->name = name;
    task->length = static_cast<std::size_t>(length);
    if (task->parameters.empty()) task->parameters = std::move(parameters);
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
            Philox random(seed, stream, row);
            task.draw_row(random, input);
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
                Philox random(seed, stream, first + row);
                task.draw_row(random, &candidates[row * width]);
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
