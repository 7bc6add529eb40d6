// Long calls: without the GIL, and ended by Ctrl-C.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <utility>

#include "interruption.hpp"

namespace pyorder::bindings {

// Lets Python see to signals that came meanwhile, ten times a second at most, since that takes the GIL. A
// handler that raises ends the call; only the main thread has any.
inline void check_signals() {
    using Clock = std::chrono::steady_clock;
    constinit static thread_local Clock::time_point next{};
    const auto now = Clock::now();
    if (now < next) return;
    const pybind11::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    next = now + std::chrono::milliseconds(100);
}

// Releases the GIL until the end of the block, in which interruption points see to signals. As handlers may
// call whatever they like, no lock may be held meanwhile.
class Unlocked {
  public:
    Unlocked() : before_(std::exchange(interruption_check, &check_signals)) {}
    ~Unlocked() { interruption_check = before_; }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

  private:
    pybind11::gil_scoped_release release_;
    InterruptionCheck before_;
};

}  // namespace pyorder::bindings
