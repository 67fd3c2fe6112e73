"""Exports of the component: both roles in one component."""

from leaf import ProcessPartition
from merge import MergePartials

__all__ = ["MergePartials", "ProcessPartition"]
