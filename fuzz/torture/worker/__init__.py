"""A worker of the torture in Python: see worker.go, whose lines it speaks and whose rules it follows.

Files have the names of their Go twins: names is names.go, arrays is work_arrays.go. Beside what workers in Go do, it forks now
and then: the child checks all arrays that it has inherited, drops some, works, and ends by itself or by force, also after its
parent.

The parent unpacks this package beside the workers' events, and starts it by python -m worker.
"""

from typing import Final

POOL: Final = "torture"
ENV: Final = "NDPOOL_TORTURE_WORKER"  #: what a worker is told when it starts, as JSON: workerConfig in worker.go
