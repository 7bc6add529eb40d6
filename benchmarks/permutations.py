"""Enumerating and unranking orders: against a bare std::next_permutation loop and against itertools.

Answers are compared first; then the two sides are timed in turn in one process. Prints one JSON object a
claim: seconds and their ratio as [20 %, 50 %, 80 %] quantiles; a ratio above 1 means that pyorder is faster.

The bare loop writes the same values into the same memory, and is compiled with the flags of the package's own
release build. "fresh" memory is allocated anew for every call, as users see it; "warm" memory is reused.
"""

import ctypes
import itertools
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from timing import alone, alternate, machine, show

from pyorder import _core, permutations

LENGTH = 10
COUNT = math.factorial(LENGTH)
FLAGS = ["-std=c++20", "-O3", "-DNDEBUG", "-fPIC", "-shared"]
BARE_LOOP = """
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

template <class Out>
void enumerate(std::size_t length, std::size_t count, Out* out) {
    std::vector<Out> row(length);
    std::iota(row.begin(), row.end(), Out{0});
    for (std::size_t i = 0; i < count; ++i) {
        out = std::copy(row.begin(), row.end(), out);
        std::next_permutation(row.begin(), row.end());
    }
}

extern "C" void enumerate_int64(std::size_t length, std::size_t count, std::int64_t* out) {
    enumerate(length, count, out);
}
extern "C" void enumerate_uint8(std::size_t length, std::size_t count, std::uint8_t* out) {
    enumerate(length, count, out);
}
"""


def compile_bare_loop(folder):
    source, library = Path(folder, "bare_loop.cpp"), Path(folder, "bare_loop.so")
    source.write_text(BARE_LOOP)
    subprocess.run(["g++", *FLAGS, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def bare_loop(library, out):
    function = getattr(library, f"enumerate_{out.dtype}")
    function(ctypes.c_size_t(out.shape[1]), ctypes.c_size_t(len(out)), ctypes.c_void_p(out.ctypes.data))
    return out


def from_itertools(dtype=np.int64):
    steps = itertools.chain.from_iterable(itertools.permutations(range(LENGTH)))
    return np.fromiter(steps, dtype, COUNT * LENGTH).reshape(COUNT, LENGTH)


def main():
    with tempfile.TemporaryDirectory() as folder:
        library = compile_bare_loop(folder)

    def empty(dtype):
        return np.empty((COUNT, LENGTH), dtype)

    expected = from_itertools()
    np.testing.assert_array_equal(permutations.lexicographic(LENGTH), expected)
    np.testing.assert_array_equal(bare_loop(library, empty(np.int64)), expected)
    del expected
    compiler = subprocess.run(["g++", "-dumpfullversion"], check=True, capture_output=True, text=True)
    bare = {"other": f"std::next_permutation loop, g++ {compiler.stdout.strip()} {' '.join(FLAGS[1:3])}"}

    fresh = alternate(
        lambda: permutations.lexicographic(LENGTH), lambda: bare_loop(library, empty(np.int64)), repeats=15
    )
    show("lexicographic(10): all orders as int64, fresh memory", {**fresh, **bare, **machine()})
    for dtype in (np.int64, np.uint8):
        out, other = empty(dtype), bare_loop(library, empty(dtype))
        _core.permutation.lexicographic(out, 0)
        np.testing.assert_array_equal(out, other)
        warm = alternate(
            lambda out=out: _core.permutation.lexicographic(out, 0),
            lambda other=other: bare_loop(library, other),
            repeats=25,
        )
        show(f"core enumeration of 10! orders as {out.dtype}, warm memory", {**warm, **bare, **machine()})
    against = {"other": "np.fromiter(itertools.chain.from_iterable(itertools.permutations(range(10))))"}
    timed = alternate(lambda: permutations.lexicographic(LENGTH), from_itertools, repeats=9)
    show("lexicographic(10) against NumPy from itertools", {**timed, **against, **machine()})

    ranks = np.random.default_rng(0).integers(0, math.factorial(13), 1_000_000)
    orders = permutations.unrank(ranks, 13)
    np.testing.assert_array_equal(permutations.rank(orders), ranks)
    for name, call in (
        ("unrank: 1,000,000 ranks at L = 13", lambda: permutations.unrank(ranks, 13)),
        ("rank: 1,000,000 orders at L = 13", lambda: permutations.rank(orders)),
        ("sample: 1,000,000 orders at L = 13", lambda: permutations.sample(13, 1_000_000, seed=0)),
    ):
        show(name, {**alone(call, repeats=15), **machine()})


if __name__ == "__main__":
    main()
