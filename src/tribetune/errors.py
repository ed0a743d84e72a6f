"""What a user can mend, with a hint: the whole error tree."""


class TribetuneError(Exception):
    """Something the user can mend.

    Parameters
    ----------
    message : str
        Where it is, what was found, what was expected.
    hint : str
        A command to run or a key to change.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RecipeError(TribetuneError):
    """A recipe has faults; the message lists them all."""


class StimulusError(TribetuneError):
    """A stimulus file, its codec or its words cannot be used."""


class FeatureError(TribetuneError):
    """An encoder, the feature store, or features that do not fit the checkpoint."""


class BoldError(TribetuneError):
    """A BOLD run is missing, too short, not finite, or its timing is wrong."""


class SpaceError(TribetuneError):
    """Outputs differ in number or order."""


class CheckpointError(TribetuneError):
    """A checkpoint's keys, sizes or hash are wrong, or the file is unsafe."""


class LeakageError(TribetuneError):
    """Something from the test reached the training."""


class AdaptationError(TribetuneError):
    """Nothing is trainable, or nothing changed."""
