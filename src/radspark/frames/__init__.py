"""Files as Spark DataFrames: the session, and radiographs read and prepared on the executors."""

from radspark.frames.reader import read_images
from radspark.frames.session import get_session

__all__ = ["get_session", "read_images"]
