// What threads write together is what one writes alone, for every built-in task; built with
// -fsanitize=thread, which ends the process at a race. tests/csrc/sanitized has the command.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "tasks.hpp"

namespace {

constexpr std::size_t rows = 5000;  // several parts of 256 rows, the least that a thread gets
constexpr std::uint64_t seed = 1;

struct Rows {
    std::vector<std::int16_t> inputs;
    std::vector<std::int16_t> targets;

    explicit Rows(const pyorder::Task& task)
        : inputs(rows * task.input_length), targets(rows * task.length) {}

    bool operator==(const Rows&) const = default;
};

Rows generated(const pyorder::Task& task, unsigned threads) {
    Rows made(task);
    generate(task, rows, seed, 0, threads, made.inputs.data(), made.targets.data());
    return made;
}

Rows unseen(const pyorder::Task& task, const Rows& known, unsigned threads) {
    Rows made(task);
    const std::span<const std::int16_t> block(known.inputs);
    generate_unseen(task, rows, seed, 1, {&block, 1}, threads, made.inputs.data(), made.targets.data());
    return made;
}

Rows computed(const pyorder::Task& task, const Rows& known, unsigned threads) {
    Rows made(task);
    made.inputs = known.inputs;
    compute(task, rows, threads, made.inputs.data(), made.targets.data());
    return made;
}

void require(bool holds, const std::string& task, const char* call) {
    if (holds) return;
    std::fprintf(stderr, "%s: %s depends on the number of threads\n", task.c_str(), call);
    std::exit(1);
}

}  // namespace

int main() {
    for (const std::string& name : pyorder::task_names()) {
        const auto task = pyorder::make_task(name, 12, {});
        const Rows alone = generated(*task, 1);
        const Rows alone_unseen = unseen(*task, alone, 1);
        for (const unsigned threads : {2U, 3U, 16U}) {
            require(generated(*task, threads) == alone, name, "generate");
            require(unseen(*task, alone, threads) == alone_unseen, name, "generate_unseen");
            require(computed(*task, alone, threads) == alone, name, "compute");
        }
    }
}
