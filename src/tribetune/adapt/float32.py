"""Float32 products by the faster of torch's two libraries, where both are as exact."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def fast_float32(device: torch.device) -> Generator[None]:
    """Float32 products by oneDNN where that rounds no input: on CPUs with AVX-512 and without AMX.

    There torch's ``medium`` precision is as exact as its default, and 1.1 to 2 times as fast at our sizes (``LOG.md``);
    other devices may round inputs to bfloat16 for it, so that nothing changes on them. The setting is torch's own, of
    the whole process: it is put back at the end.
    """
    exact = device.type == "cpu" and torch.cpu._is_avx512_supported() and not torch.cpu._is_amx_tile_supported()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if exact else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
