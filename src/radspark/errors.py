"""The exception tree. What the user can mend is a RadsparkError; any other exception is a bug.

RadsparkError
├── ArgumentError               a wrong argument, setting or option; also a ValueError
├── SetupError                  the machine lacks something: Java, task slots, a place to write
├── DataError                   what was found on disk is not what was asked for
│   ├── UnreadableImageError    one file cannot be read as a radiograph
│   ├── LabelTableError         a label table is missing, of another kind, or lacks a column
│   └── SplitError              a patient stands in two splits, or a split is empty
├── WeightsError                weights do not fit the network
├── BundleError                 a saved model is damaged, incomplete or from a newer version
└── TrainingError               a run could not go on
    └── UserCodeError           the user's own module raised; carries its traceback
"""


class RadsparkError(Exception):
    """Base of every error whose message is meant for the user, one sentence that names a remedy."""


class ArgumentError(RadsparkError, ValueError):
    """A wrong argument, setting or option; a plain ValueError inside radspark is a bug of ours."""


class SetupError(RadsparkError):
    """The machine lacks something that radspark needs."""


class DataError(RadsparkError):
    """What was found on disk is not what was asked for."""


class UnreadableImageError(DataError):
    """One file cannot be read as a radiograph. The message never holds the file's name."""


class LabelTableError(DataError):
    """A label table is missing, of another kind, or lacks a column."""


class SplitError(DataError):
    """A patient stands in two splits, or a split holds nothing."""


class WeightsError(RadsparkError):
    """Weights do not fit the network that they were given to."""


class BundleError(RadsparkError):
    """A saved model is damaged, incomplete, or written by a newer version."""


class TrainingError(RadsparkError):
    """A training run could not go on."""


class UserCodeError(TrainingError):
    """The user's own module raised on a worker; the message carries its traceback."""
