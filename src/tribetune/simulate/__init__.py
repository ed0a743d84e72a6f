"""A small cohort with planted truth: the embedded default, and the tests' ground truth."""

from tribetune.simulate.cohort import simulate
from tribetune.simulate.settings import CohortSettings

__all__ = ["CohortSettings", "simulate"]
