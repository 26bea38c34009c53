"""Quality as arithmetic: what one scoring of held-out examples comes to, and how far another is from it.

The child that prepares a workload takes the base's own figures from here, `decide.quality` those that it judges.
"""

from bakeoff.metrics.examples import Examples, Floats
from bakeoff.metrics.known import FIDELITY, SERVED, Metric, named, own_figures, require

__all__ = ["FIDELITY", "SERVED", "Examples", "Floats", "Metric", "named", "own_figures", "require"]
