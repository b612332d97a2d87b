"""Where tasks run: here one after the other, in processes of this machine, or on a Dask cluster."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, final

from manifoldnet.compiler.compile import compute_alone
from manifoldnet.errors import MissingExtraError
from manifoldnet.extras import extra_module


@final
class HereAndNow(Executor):
    """Runs each call in this process, before `submit` returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """A future that is done already."""
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def open_executor(jobs: int, address: str | None = None, backend: str = "autograd") -> Iterator[tuple[Executor, int]]:
    """An executor, and how many tasks it should be given at a time.

    With an address, such as `tcp://127.0.0.1:8786`, the workers of the Dask scheduler there, who need this package and
    the spec at the same path; MissingExtraError without the extra `dask`. Else `jobs` processes, in each of which the
    `backend` computes in one thread, or none for one job.
    """
    if address is not None:
        with extra_module("manifoldnet.experiments.dask_cluster", "dask").open_cluster(address) as opened:
            yield opened
    elif jobs == 1:
        with HereAndNow() as executor:
            yield executor, 1
    else:
        with _processes(jobs, backend) as executor:
            yield executor, jobs


@contextlib.contextmanager
def _processes(jobs: int, backend: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, however it ends: they watch a pipe that nobody else holds open."""
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    others = set(multiprocessing.active_children())
    with watched, held:
        executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(watched, backend))
        try:
            yield executor
        except BaseException:
            held.close()
            executor.shutdown(wait=False, cancel_futures=True)
            # they would watch only once they have imported all of this package, which takes half a minute on a busy machine
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise
        executor.shutdown()


def _begin(watched: Connection, backend: str) -> None:
    _end_with(watched)
    try:
        compute_alone(backend)
    except MissingExtraError:
        # it is told with the tasks that ask for it, and a worker that could not begin would end all of them
        return


def _end_with(watched: Connection) -> None:
    # a terminal sends Ctrl-C to all processes, and the first one tells the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_end, args=(watched,), daemon=True).start()


def _wait_for_end(watched: Connection) -> None:
    watched.poll(None)
    os._exit(1)
