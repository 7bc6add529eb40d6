"""Loss profiling: the early loss of many orders in one run."""

from pyorder.profiling.profile import Profiler, profile
from pyorder.profiling.result import Cost, Profile

__all__ = ["Cost", "Profile", "Profiler", "profile"]
