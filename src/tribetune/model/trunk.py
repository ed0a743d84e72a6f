"""The trunk all subjects share: a pre-norm transformer with rotary attention over the steps of a window."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from tribetune.model.config import MIN_DIM_HEAD, TribeConfig

ATTENTION_LINEARS = ("to_q", "to_k", "to_v", "to_out")
"""Names of the linear layers of an attention sublayer."""

FEEDFORWARD_LINEARS = ("ff_in", "ff_out")
"""Names of the linear layers of a feed-forward sublayer."""

_THETA = 10000.0


class ScaleNorm(nn.Module):
    """Scale every vector to one learned length (Nguyen & Salazar 2019; spec a.8)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.root = hidden**0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        """Vectors of length ``sqrt(hidden) * g``; a zero vector stays zero."""
        return functional.normalize(x, dim=-1, eps=1e-12) * self.root * self.g


class Attention(nn.Module):
    """Multi-head attention of every step to every step of the window, positions by rotation."""

    def __init__(self, config: TribeConfig) -> None:
        super().__init__()
        inner = config.heads * config.dim_head
        self.heads, self.dropout = config.heads, config.dropout
        self.to_q = nn.Linear(config.hidden, inner, bias=False)
        self.to_k = nn.Linear(config.hidden, inner, bias=False)
        self.to_v = nn.Linear(config.hidden, inner, bias=False)
        self.to_out = nn.Linear(inner, config.hidden, bias=False)

    def forward(
        self, x: Float[Tensor, "batch time hidden"], turn: Float[Tensor, "2 time turned"]
    ) -> Float[Tensor, "batch time hidden"]:
        """Attend; ``turn`` holds the cosine and sine of every step's rotation."""
        q, k, v = (self._by_head(layer(x)) for layer in (self.to_q, self.to_k, self.to_v))
        # the rotation is in float32 also under autocast; attention then runs in the dtype of the values
        q, k = rotate(q, turn).to(v.dtype), rotate(k, turn).to(v.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.to_out(mixed.transpose(1, 2).flatten(2))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers around an exact (erf) GELU."""

    def __init__(self, config: TribeConfig) -> None:
        super().__init__()
        self.ff_in = nn.Linear(config.hidden, config.ff_mult * config.hidden)
        self.ff_out = nn.Linear(config.ff_mult * config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "batch time hidden"]) -> Float[Tensor, "batch time hidden"]:
        """Transform every step alone."""
        return self.ff_out(self.dropout(functional.gelu(self.ff_in(x))))


class Sublayer(nn.Module):
    """A branch added to the residual stream, which a learned vector scales: ``branch(norm(x)) + scale * x``."""

    def __init__(self, config: TribeConfig, branch: nn.Module) -> None:
        super().__init__()
        self.norm = ScaleNorm(config.hidden)
        self.branch = branch
        self.residual_scale = nn.Parameter(torch.ones(config.hidden))

    def forward(self, x: Float[Tensor, "batch time hidden"], *extra: Tensor) -> Float[Tensor, "batch time hidden"]:
        """Apply; the residual stream keeps the dtype of ``x``."""
        return torch.addcmul(self.branch(self.norm(x), *extra).to(x.dtype), self.residual_scale, x)


class Trunk(nn.Module):
    """``depth`` pairs of attention and feed-forward, then a last norm (spec a.8).

    Parameters
    ----------
    config : TribeConfig
        Uses ``hidden``, ``depth``, ``heads``, ``ff_mult`` and ``dropout``.
    """

    inv_freq: Tensor

    def __init__(self, config: TribeConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attentions = nn.ModuleList(Sublayer(config, Attention(config)) for _ in range(config.depth))
        self.feedforwards = nn.ModuleList(Sublayer(config, FeedForward(config)) for _ in range(config.depth))
        self.final_norm = ScaleNorm(config.hidden)
        # kept with the weights: another machine's power function may round differently
        self.register_buffer("inv_freq", rotary_frequencies(config.dim_head))

    def forward(self, x: Float[Tensor, "batch time hidden"]) -> Float[Tensor, "batch time hidden"]:
        """Mix the steps of each window.

        Parameters
        ----------
        x : Tensor of shape (batch, n_steps, hidden)
            Projected features with their time embedding.

        Returns
        -------
        Tensor of shape (batch, n_steps, hidden)
            The trunk's state at every step.
        """
        turn = rotary_table(self.inv_freq, x.shape[1])
        for attention, feedforward in zip(self.attentions, self.feedforwards, strict=True):
            x = x if self._skipped() else attention(x, turn)
            x = x if self._skipped() else feedforward(x)
        return self.final_norm(x)

    def _skipped(self) -> bool:
        """Whether stochastic depth drops this sublayer; dropout 0 draws no random number."""
        return self.training and self.dropout > 0 and bool(torch.rand(()) < self.dropout)


def rotary_frequencies(dim_head: int) -> Float[Tensor, " frequency"]:
    """Radians per step of every pair of channels: half of a head turns, at least 32 channels (spec a.8)."""
    turned = max(dim_head // 2, MIN_DIM_HEAD)
    return _THETA ** -(torch.arange(0, turned, 2).float() / turned)


def rotary_table(inv_freq: Float[Tensor, " frequency"], n_steps: int) -> Float[Tensor, "2 time frequency"]:
    """Cosine and sine of every step's rotation, in float32."""
    angles = torch.arange(n_steps, device=inv_freq.device).float()[:, None] * inv_freq.float()
    return torch.stack([angles.cos(), angles.sin()])


def rotate(
    x: Float[Tensor, "batch head time dim"], turn: Float[Tensor, "2 time frequency"]
) -> Float[Tensor, "batch head time dim"]:
    """Turn the first channels of every head by its step's angle, channel i with i + n_frequencies (Su et al. 2021)."""
    cosine, sine = turn
    n = cosine.shape[-1]
    one, two, rest = x[..., :n].float(), x[..., n : 2 * n].float(), x[..., 2 * n :].float()
    return torch.cat([one * cosine - two * sine, two * cosine + one * sine, rest], dim=-1)
