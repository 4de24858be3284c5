"""Reading and writing of XDF, the recording format of the Lab Streaming Layer."""

from physio.io.xdf.reader import read
from physio.io.xdf.repair import Repaired, repair
from physio.io.xdf.write_recording import write
from physio.io.xdf.writer import Writer, outcome

__all__ = ["Repaired", "Writer", "outcome", "read", "repair", "write"]
