"""Parallel jobs in this process, in local worker processes, or on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

ENGINES: Final = "serial, loky:N, dask:local:N or dask:tcp://HOST:PORT"


def run_jobs(
    work: Callable[[Any], Any], jobs: Sequence[Any], engine: str
) -> Iterator[Any]:
    """Yield ``work(job)`` for each job, in order of completion.

    Parameters
    ----------
    work
        Function of a job, which other processes must be able to import.
    jobs
        Arguments of ``work``.
    engine
        Backend. ``serial``: in this process, one job after another. ``loky:2``: in two
        processes. ``dask:local:2``: in two processes of a new local Dask cluster.
        ``dask:tcp://host:8786``: on the workers of a Dask scheduler; if a worker is
        lost, another worker repeats its job.

    Raises
    ------
    ValueError
        If the engine is unknown, or its package is not installed.
    OSError
        If there is no scheduler at the address, or a ``loky`` process was killed.
    """
    kind, _, rest = engine.partition(":")
    if engine == "serial":
        yield from map(work, jobs)
    elif kind == "loky" and rest.isdecimal() and int(rest):
        yield from _loky(work, jobs, int(rest))
    elif kind == "dask" and rest.startswith("local:"):
        yield from _dask_local(work, jobs, rest.removeprefix("local:"))
    elif kind == "dask" and rest.startswith(("tcp://", "tls://")):
        yield from _dask(work, jobs, rest)
    else:
        raise ValueError(f"there is no engine {engine!r}; it is {ENGINES}")


@contextmanager
def single_thread() -> Iterator[None]:
    """Limit numeric libraries to one thread, as there are as many workers as cores."""
    import sys

    import numba
    from threadpoolctl import threadpool_limits

    numba_had = numba.get_num_threads()
    numba.set_num_threads(1)
    torch = sys.modules.get("torch")
    torch_had = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        numba.set_num_threads(numba_had)
        if torch:
            torch.set_num_threads(torch_had)


def _parallel(work: Callable[[Any], Any], jobs: Sequence[Any], n: int) -> Iterator[Any]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=n, batch_size=1, return_as="generator_unordered")
    yield from parallel(delayed(work)(job) for job in jobs)


def _loky(work: Callable[[Any], Any], jobs: Sequence[Any], n: int) -> Iterator[Any]:
    from joblib import parallel_config
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    try:
        with parallel_config(backend="loky", n_jobs=n, inner_max_num_threads=1):
            yield from _parallel(work, jobs, n)
    except TerminatedWorkerError:
        raise OSError(
            "a worker process was killed, perhaps for want of memory; run the same "
            "command again, and it goes on from here, with fewer workers if need be"
        ) from None
    finally:  # otherwise its processes warn of leaked memory when this one ends
        get_reusable_executor(max_workers=n, reuse=True).shutdown(wait=True)


def _dask_local(
    work: Callable[[Any], Any], jobs: Sequence[Any], n: str
) -> Iterator[Any]:
    if not n.isdecimal() or not int(n):
        raise ValueError(f"dask:local:{n} names no number of workers; as dask:local:2")
    _needs_dask()
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=int(n),
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
    ) as cluster:
        yield from _dask(work, jobs, cluster.scheduler_address)


def _dask(
    work: Callable[[Any], Any], jobs: Sequence[Any], address: str
) -> Iterator[Any]:
    _needs_dask()
    from distributed import Client
    from joblib import parallel_config

    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError):
        raise OSError(f"there is no Dask scheduler at {address}") from None
    with client, parallel_config(backend="dask"):
        yield from _parallel(work, jobs, -1)


def _needs_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ValueError(
            "this engine needs Dask: pip install 'physio-affect[cluster]'"
        ) from None
