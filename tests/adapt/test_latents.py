import numpy as np
import torch

from tribetune.adapt.latents import Latents, take_out_shared


def planted(n_outputs):
    rng = torch.Generator().manual_seed(0)
    weights, bias = torch.randn(3, n_outputs, generator=rng), torch.randn(n_outputs, generator=rng)
    values = torch.randn(50, 3, generator=rng)
    own = torch.randn(50, n_outputs, generator=rng)
    breathing = 9 * torch.randn(50, 1, generator=rng)
    bold = values @ weights + bias + own - own.mean(1, keepdim=True) + breathing
    bold[:, 7] = torch.nan
    return Latents(values, bold, "run-1", np.arange(50), 0.0), breathing, weights, bias


def test_what_the_whole_cortex_does_together_is_taken_out_and_nothing_else():
    part, breathing, weights, bias = planted(2000)
    before = part.bold.clone()
    take_out_shared([part], weights, bias)
    defined = torch.arange(2000) != 7
    # one undefined output of 2,000 shifts the mean a little
    torch.testing.assert_close(part.bold[:, defined], (before - breathing)[:, defined], atol=5e-3, rtol=0)
    assert part.bold[:, 7].isnan().all()
    assert before[:, defined].abs().mean() > 2 * part.bold[:, defined].abs().mean()


def test_the_mean_of_few_outputs_is_signal_and_stays():
    part, _, weights, bias = planted(12)
    before = part.bold.clone()
    take_out_shared([part], weights, bias)
    torch.testing.assert_close(part.bold, before, rtol=0, atol=0, equal_nan=True)


def test_the_bold_of_a_window_is_never_changed(base, windows):
    before = [window.bold.copy() for window in windows]
    for part in base.latents(windows):
        part.bold.zero_()
    for window, bold in zip(windows, before, strict=True):
        np.testing.assert_array_equal(window.bold, bold)
