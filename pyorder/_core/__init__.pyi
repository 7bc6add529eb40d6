from pyorder._core import linear_ordering as linear_ordering
from pyorder._core import moves as moves
from pyorder._core import permutation as permutation
from pyorder._core import poset as poset
from pyorder._core import row_index as row_index
from pyorder._core import safetensors as safetensors
from pyorder._core import tasks as tasks
