"""Pickled arrays, read without ever running what a pickle says."""

from physio.io.safe_pickle.pickle_vm import RefusedError, load, loads

__all__ = ["RefusedError", "load", "loads"]
