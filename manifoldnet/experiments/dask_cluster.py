"""The workers of a Dask scheduler as an executor; needs the extra `dask`."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor

import distributed

from manifoldnet.errors import DataError

# Tasks of a worker that dies are given to another so many times.
RETRIES = 3


@contextlib.contextmanager
def open_cluster(address: str, timeout: float = 10.0) -> Iterator[tuple[Executor, int]]:
    """An executor of the cluster at an address, and how many tasks it can run at a time, with one more to have at hand.

    Raises DataError where no scheduler answers within `timeout` seconds, or none of its workers is there.
    """
    try:
        client = distributed.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DataError(f"no Dask scheduler answers at {address!r} ({error}): start one by `dask scheduler`") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            wanted = f"start some by `dask worker {address}`"
            raise DataError(f"the Dask scheduler at {address} has no workers: {wanted}") from error
        threads = sum(client.nthreads().values())
        with client.get_executor(pure=False, retries=RETRIES) as executor:
            yield executor, threads + 1
