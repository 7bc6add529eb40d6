"""Loss profiling: the early loss of many orders in one run."""

from pyorder.profiling.field_orders import FieldOrders
from pyorder.profiling.profile import Profiler, profile
from pyorder.profiling.result import Cost, Profile

__all__ = ["Cost", "FieldOrders", "Profile", "Profiler", "profile"]
