"""Loss profiling: the early loss of many orders in one run."""

from pyorder.profiling.profile import Cost, Profile, Profiler, profile

__all__ = ["Cost", "Profile", "Profiler", "profile"]
