"""Independent work on several items at once: on a CPU a thread each, which beats many threads on one small item."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from tribetune.adapt.float32 import fast_float32

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """What ``work`` gives for every item, in order; by as many threads as torch has, each with one of torch's own.

    Parameters
    ----------
    work : callable
        Changes nothing that two items share. Contexts of torch that are a thread's own, such as ``no_grad`` and
        ``autocast``, it enters itself.
    items : sequence
    device : torch.device
        Where it computes; other devices than CPUs take one item after the other.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or min(threads, len(items)) < 2:
        return [work(item) for item in items]
    pool = ThreadPoolExecutor(min(threads, len(items)), initializer=torch.set_num_threads, initargs=(1,))
    try:
        with fast_float32(device):  # of the whole process: not for each thread to set and put back
            return list(pool.map(work, items))
    finally:
        pool.shutdown(cancel_futures=True)  # what is under way ends, nothing new begins
        torch.set_num_threads(threads)  # the number is also that of threads to come
