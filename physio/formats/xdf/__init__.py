"""XDF, the recording format of the Lab Streaming Layer: written, and read."""

from physio.formats.xdf.reader import read
from physio.formats.xdf.repair import Repaired, repair
from physio.formats.xdf.whole import write
from physio.formats.xdf.writer import Writer, outcome

__all__ = ["Repaired", "Writer", "outcome", "read", "repair", "write"]
