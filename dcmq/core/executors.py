"""Where many independent pieces of work are done: by processes of this machine, or by the workers of a Dask cluster."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import torch
from tqdm import tqdm

from dcmq.core.errors import DcmqError

SCHEDULER = "DCMQ_SCHEDULER"  # names the cluster where no parameter does
TRIES = 3  # how often a piece of work is begun whose process is killed: once, and twice again
_CONNECTING = 10  # seconds to wait for a scheduler
_CAUSE = "most likely because memory was short"
Key = TypeVar("Key")  # of a piece of work


class LostWorker(DcmqError):
    """The process that did a piece of work was killed."""


def scheduler_address(given: str = "") -> str:
    """The address of the scheduler: ``given``, or what ``$DCMQ_SCHEDULER`` names; empty for this machine alone, and in a task of a
    cluster where none is given: one that waits for other workers might wait for ever."""
    return given or ("" if _is_task() else os.environ.get(SCHEDULER, ""))


def _is_task() -> bool:
    if "distributed" not in sys.modules:
        return False
    try:
        sys.modules["distributed"].get_worker()
    except ValueError:
        return False
    return True


def open_executor(workers: int, scheduler: str = "") -> AbstractContextManager[Executor]:
    """An executor for the block: ``workers`` processes of this machine, or all workers of the cluster at ``scheduler``.

    :func:`was_lost` tells of a future's error whether its process was killed; a cluster has then tried again by itself. Where the
    block ends by an error, what waits is not begun any more, and processes of this machine are ended.

    Args:
        scheduler: as :func:`scheduler_address` gives it.

    Raises:
        DcmqError: nobody answers at that address, or the extra ``cluster`` is not installed.
    """
    return _cluster(scheduler) if scheduler else LocalProcesses(workers)


class LocalProcesses(Executor):
    """Processes of this machine, each in a pool by itself: one that is killed takes no other with it, and is replaced.

    Each ends by itself when this one is gone. An interruption reaches them through this one alone.

    Args:
        workers: processes at a time; each is started when there is work for it.
    """

    def __init__(self, workers: int):
        mend_main()
        self._threads = ThreadPoolExecutor(workers, initializer=_hold_interrupts)
        self._mine = threading.local()  # of a thread: its pool of one process
        self._pools: set[ProcessPoolExecutor] = set()

    def submit(self, fn: Callable, /, *args, **kwargs) -> Future:
        """A future of ``fn(*args, **kwargs)``, done by the next free process."""
        return self._threads.submit(self._in_process, fn, args, kwargs)

    def _in_process(self, fn: Callable, args: tuple, kwargs: dict):
        pool = getattr(self._mine, "pool", None)
        if pool is None:
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _watch_parent, (os.getpid(),))
            self._mine.pool = pool
            self._pools.add(pool)
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._mine.pool = None
            self._pools.discard(pool)
            raise LostWorker(f"its process was killed, {_CAUSE}") from None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; with ``wait``, return when all is done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in list(self._pools):
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind, value, traceback) -> None:
        if kind:
            self._threads.shutdown(wait=False, cancel_futures=True)
            while not self._all_ended():  # one may be started just now
                time.sleep(0.05)
        self.shutdown()

    def _all_ended(self) -> bool:
        for pool in list(self._pools):
            for process in list((pool._processes or {}).values()):
                process.terminate()
        return not any(thread.is_alive() for thread in self._threads._threads)


def retried(
    names: Mapping[Key, str],
    once: Callable[[Collection[Key], int], Collection[Key]],
    say: Callable[[str], object],
    advice: str,
) -> None:
    """Do pieces of work, and those again whose process was killed, at most twice.

    Args:
        names: by key, what messages call a piece.
        once: tries some pieces, told which attempt this is, from 0; it returns those that were lost. A pool that is smaller by
            a process at each attempt leaves more memory for each.
        say: is given a line for each piece that is lost.
        advice: how to need less memory, for the error's line.

    Raises:
        LostWorker: names the pieces that were lost each time; the others are done.
    """
    left = list(names)
    for attempt in range(TRIES):
        left = list(once(left, attempt))
        if not left:
            return
        for key in left:
            say(f"{names[key]}: its process was killed, {_CAUSE}; the others go on")
    lost = ", ".join(names[key] for key in left)
    raise LostWorker(f"{lost}: the process was killed {TRIES} times, {_CAUSE}: {advice}")


def do_all(
    function: Callable,
    work: Mapping[Key, tuple],
    names: Mapping[Key, str],
    on_done: Callable[[Key, object], object],
    say: Callable[[str], object],
    *,
    workers: int = 1,
    scheduler: str = "",
    advice: str,
) -> None:
    """Call ``function`` with each of ``work``'s arguments, several at a time, and those again whose process was killed.

    Args:
        names, say, advice: as for :func:`retried`.
        on_done: is given each key with what the function returned, as soon as it is there.
        workers, scheduler: as for :func:`open_executor`.

    Raises:
        LostWorker: as :func:`retried`; or whatever the function raised first, and then what waits is not begun any more.
    """

    def once(keys: Collection[Key], attempt: int) -> list[Key]:
        lost = []
        with open_executor(max(1, min(workers, len(keys)) - attempt), scheduler) as executor:
            futures = {executor.submit(function, *work[key]): key for key in keys}
            for future in as_completed(futures):
                error = future.exception()
                if error and not was_lost(error):
                    raise error
                if error:
                    lost.append(futures[future])
                else:
                    on_done(futures[future], future.result())
        return lost

    retried(names, once, say, advice)


def was_lost(error: BaseException) -> bool:
    """True where ``error`` says that the process, or several workers of the cluster one after the other, were killed."""
    return isinstance(error, LostWorker) or type(error).__name__ == "KilledWorker"


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise DcmqError("scheduler: Dask is not installed: pip install 'dcmq[cluster]'") from None
    try:
        client = Client(address, timeout=_CONNECTING, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise DcmqError(f"scheduler: nobody answers at {address} ({reason}): start one with dask scheduler") from None
    with client:
        executor = client.get_executor(pure=False)
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)
            raise
        executor.shutdown()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use ``number`` CPU threads in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mend_main() -> None:
    """Give ``__main__`` back the name that Python reads when it starts a process; IPython's ``%reset`` takes it away."""
    vars(sys.modules["__main__"]).setdefault("__spec__", None)


def _hold_interrupts() -> None:
    """Processes that this thread starts do not get an interruption of a terminal: the one that started them ends them."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _watch_parent(parent: int) -> None:
    tqdm.set_lock(threading.RLock())  # not one between processes, which an interruption would leave behind
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, as when a kernel is killed: nobody would collect what it makes."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
