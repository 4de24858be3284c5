"""Reader of pickled arrays that runs no code of the pickle."""

from physio.io.safe_pickle.pickle_vm import RefusedError, load, loads

__all__ = ["RefusedError", "load", "loads"]
