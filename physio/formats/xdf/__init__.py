"""XDF, the recording format of the Lab Streaming Layer: written, and read."""

from physio.formats.xdf.reader import read
from physio.formats.xdf.whole import write
from physio.formats.xdf.writer import Writer, outcome

__all__ = ["Writer", "outcome", "read", "write"]
