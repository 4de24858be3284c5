"""Pickled arrays, read without ever running what a pickle says."""

from physio.formats.inert.machine import RefusedError, load, loads

__all__ = ["RefusedError", "load", "loads"]
