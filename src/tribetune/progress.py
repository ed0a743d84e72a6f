"""What a long function tells about how far it is; who shows it is not its business."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Anything that can be told how far a long function is."""

    def step(self, description: str) -> None:
        """Say that a new step of the work begins."""

    def advance(self, description: str, fraction: float) -> None:
        """Say how much of a step is done, from 0 to 1."""


class Silent:
    """The default of every long function: nobody listens."""

    def step(self, description: str) -> None:
        """Let a step begin unannounced."""

    def advance(self, description: str, fraction: float) -> None:
        """Let it advance unseen."""
