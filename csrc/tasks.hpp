// Task generators: pairs (X, Y) of integer rows, Y computed from X step by step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "random.hpp"

namespace pyorder {

struct Range {
    std::int64_t low;
    std::int64_t high;  // inclusive

    std::uint32_t size() const { return static_cast<std::uint32_t>(high - low + 1); }
};

using Parameter = std::variant<std::int64_t, std::string>;
using Parameters = std::map<std::string, Parameter>;

// A parameter that is known to be a number.
std::int64_t integer(const Parameters& parameters, const std::string& name);

// Throws std::invalid_argument, which says what `what` must be, for a value outside of `allowed`.
void check_range(const std::string& what, std::int64_t value, Range allowed);

// The value of step `after` is computed from that of step `before`.
struct Dependency {
    std::size_t before;
    std::size_t after;
};

// One task at one length: inputs are drawn in input_range, targets follow from them.
class Task {
  public:
    virtual ~Task() = default;

    std::string name;
    std::size_t length = 0;        // L: steps of a target
    std::size_t input_length = 0;  // X: values of an input
    Parameters parameters;
    Range input_range{};
    Range target_range{};  // holds every value that a target can reach

    // Draws an input (X values): uniform and independent, unless a task says otherwise.
    virtual void draw_row(Philox& random, std::int16_t* input) const;

    // Writes the target (L values) of one input (X values within input_range).
    virtual void compute_row(const std::int16_t* input, std::int16_t* target) const = 0;

    // What compute_row reads of the target itself; empty where that is no dependency graph of the steps.
    virtual std::vector<Dependency> dependencies() const = 0;
};

std::vector<std::string> task_names();

// Throws std::invalid_argument for an unknown name or parameter, or a value that is not allowed.
std::unique_ptr<Task> make_task(const std::string& name, std::int64_t length, const Parameters& given);

// In the functions below, inputs are (rows, X), targets (rows, L), row-major; `threads` 0 means all cores.
// What is written does not depend on `threads`.

void compute(const Task& task, std::size_t rows, unsigned threads, const std::int16_t* inputs,
             std::int16_t* targets);

// Row i is drawn from Philox(seed, stream, i).
void generate(const Task& task, std::size_t rows, std::uint64_t seed, std::uint64_t stream, unsigned threads,
              std::int16_t* inputs, std::int16_t* targets);

// As generate, keeping of the candidate rows 0, 1, 2, ... the first ones whose input occurs neither in `seen`
// (each a whole number of inputs) nor earlier in this result. Throws std::invalid_argument when there are too
// few inputs left.
void generate_unseen(const Task& task, std::size_t rows, std::uint64_t seed, std::uint64_t stream,
                     std::span<const std::span<const std::int16_t>> seen, unsigned threads,
                     std::int16_t* inputs, std::int16_t* targets);

}  // namespace pyorder
