// How a long call is ended from outside: it asks now and then whether it may go on.
#pragma once

#include <cstddef>

namespace pyorder {

// What asks, for calls of this thread; it throws to end the call. Null where nobody may end it.
using InterruptionCheck = void (*)();
constinit inline thread_local InterruptionCheck interruption_check = nullptr;
constinit inline thread_local std::size_t work_since_check = 0;

// Stands in every loop that may take longer than a moment, with about how many operations a turn takes; what
// the loop has made so far must be safe to throw away.
inline void interruption_point(std::size_t work) {
    constexpr std::size_t work_between_checks = 1 << 18;  // at most some milliseconds
    if (interruption_check == nullptr) return;
    work_since_check += work;
    if (work_since_check < work_between_checks) return;
    work_since_check = 0;
    interruption_check();
}

}  // namespace pyorder
