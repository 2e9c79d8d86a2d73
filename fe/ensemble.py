"""Many copies of one network trained at once: the same minibatches and the same noise for all, each
with its own (λ, γ).

Derivatives of C and D by finite differences compare networks that were trained at λ ± δ and γ ± δ.
Trained apart, with seeds of their own, they differ by more than the derivative (chapter 6 measures
it); trained on *common random numbers* what is random cancels from the difference. So the copies
are one computation: their parameters are stacked along a first axis of length M, and one pass
through `torch.func.vmap` serves all. On a GPU, M small networks cost little more than one.

Randomness has no state: the order of the minibatches and the noise of an epoch are functions of
(seed, epoch). A run that stopped between two epochs goes on as if it had not.
"""

import contextlib
import copy
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .amortised import kl_to_standard_normal, seeded
from .errors import check_data
from .gibbs import check_outputs


def generator(*seeds, device="cpu"):
    """A torch.Generator that is a function of the integers `seeds`, independent for others."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state))


class _Losses(nn.Module):
    """x (B, D), y (B,) or (B, Y), ε (B, d) -> (R, D, C), the means over a minibatch."""

    def __init__(self, encoder, decoder, classifier):
        super().__init__()
        self.encoder, self.decoder, self.classifier = encoder, decoder, classifier

    def forward(self, x, y, noise, measure=False):
        if measure:
            return self.measure(x, y, noise)
        mu, log_sigma = self.encoder(x)
        z = mu + log_sigma.exp() * noise
        R = kl_to_standard_normal(mu, log_sigma).mean()
        D = nn.functional.mse_loss(self.decoder(z), x, reduction="sum") / len(
            x
        )  # ‖x − x̂‖² an image, in one pass over the pixels
        C = nn.functional.cross_entropy(self.classifier(z), y)
        return torch.stack([R, D, C])

    def measure(self, x, y, noise):
        """(R, D, C, accuracy): C and accuracy averaged over the noise (S, B, d), D with its first
        sample: the decoder costs most.
        """
        mu, log_sigma = self.encoder(x)
        z = mu + log_sigma.exp() * noise
        R = kl_to_standard_normal(mu, log_sigma).mean()
        D = nn.functional.mse_loss(self.decoder(z[0]), x, reduction="sum") / len(x)
        logits = self.classifier(z.flatten(0, 1))
        y = y.expand(len(noise), *y.shape).flatten(0, 1)
        likeliest = y.argmax(1) if y.is_floating_point() else y
        return torch.stack(
            [
                R,
                D,
                nn.functional.cross_entropy(logits, y),
                (logits.argmax(1) == likeliest).to(x.dtype).mean(),
            ]
        )


class State(NamedTuple):
    """R, D, C in nats per example and accuracy, each (M,), of every member on one data set."""

    rate: torch.Tensor
    distortion: torch.Tensor
    classification: torch.Tensor
    accuracy: torch.Tensor


class Ensemble:
    """M members of one architecture: parameters and buffers stacked along the first axis.

    Args:
        members: list of (encoder, decoder, classifier), any modules of one architecture. Not
            changed: the ensemble copies.

    Raises:
        ValueError: no members, or members of different architectures

    `ensemble[i]` gives member i back as ordinary modules, in evaluation mode; `ensemble.copies(i,
    M)` M equal copies of member i; `state()` and `load(state)` a dict of tensors for a checkpoint.
    """

    def __init__(self, members):
        if not members:
            raise ValueError("an ensemble needs at least one (encoder, decoder, classifier)")
        networks = [_Losses(*member) for member in members]
        try:
            parameters, buffers = torch.func.stack_module_state(networks)
        except (ValueError, RuntimeError, KeyError) as e:
            raise ValueError(f"the members of an ensemble must have one architecture: {e}") from e
        self._skeleton = copy.deepcopy(networks[0])
        self.parameters = {k: v.detach().clone().requires_grad_() for k, v in parameters.items()}
        self.buffers = {k: v.detach().clone() for k, v in buffers.items()}
        self.leaves = list(self.parameters.values())
        if (
            len(self) == 1
            # then the skeleton, its tensors in the same memory, is the member, at the cost of an
            # ordinary module
        ):
            for k, v in [*self._skeleton.named_parameters(), *self._skeleton.named_buffers()]:
                v.data = (self.parameters | self.buffers)[k].data[0]
            self.leaves = list(self._skeleton.parameters())

    def __reduce__(
        self,
        # for copy.deepcopy and for pickle: the copy's skeleton must share the memory of its own
        # parameters
    ):
        return Ensemble, ([self[i] for i in range(len(self))],)

    def __len__(self):
        return len(next(iter(self.parameters.values())))

    def __getitem__(self, i):
        network = copy.deepcopy(self._skeleton).eval()
        network.load_state_dict(
            {k: v[i].detach().clone() for k, v in (self.parameters | self.buffers).items()}
        )
        return network.encoder, network.decoder, network.classifier

    def copies(self, i, M):
        """An ensemble of M equal copies of member i."""
        return Ensemble([self[i]] * M)

    def state(self):
        """A copy of all parameters and buffers, name -> (M, …)."""
        return {k: v.detach().clone() for k, v in (self.parameters | self.buffers).items()}

    def load(self, state):
        """Parameters and buffers from a `state`, in place. Raises `ValueError` if it is that of
        another architecture or number of members.
        """
        mine = self.parameters | self.buffers
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError(
                "the state is that of another ensemble: other names or shapes of parameters"
            )
        with torch.no_grad():
            for k, v in mine.items():
                v.copy_(state[k])

    def __call__(self, x, y, noise, measure=False):
        """(R, D, C) of every member on the same x, y, ε, (M, 3); with `measure` those of
        `_Losses.measure`, (M, 4).
        """
        if len(self) == 1:  # a batched product with one batch is slower than the product
            return self._skeleton(x, y, noise, measure)[None]

        def call(parameters, buffers):
            return torch.func.functional_call(
                self._skeleton, (parameters, buffers), (x, y, noise, measure)
            )

        return torch.func.vmap(call, randomness="same")(
            self.parameters, self.buffers
        )  # dropout: common random numbers too

    def adam(self):
        """A new Adam over the parameters of all members; `train_ensemble` sets its rate."""
        return torch.optim.Adam(self.leaves, lr=1e-3, fused=True)

    def mode(self, training):
        """Training mode (batch statistics, dropout) or evaluation mode, as `nn.Module.train`."""
        self._skeleton.train(training)


def step_decay(step, steps, epochs=120, top=1e-3):
    """The paper's learning rate for a model from scratch (App. A): 1e-3, divided by ten every 50 of
    120 epochs.
    """
    return top * 0.1 ** (step * epochs // steps // 50)


def train_ensemble(
    ensemble,
    x,
    y,
    lam,
    gam,
    epochs,
    lr,
    seed,
    *,
    batch_size=250,
    first=0,
    optimiser=None,
    on_epoch=None,
):
    """Adam on minibatches of R + λD + γC for all members at once; same minibatches, same noise, own
    (λ_m, γ_m).

    Args:
        x, y: (N, D) and (N,), on the device of the ensemble; a minibatch is a slice of them,
            nothing is done image by image. Or y (N, Y), probabilities of the labels
        lam, gam: numbers or (M,)
        lr: learning rate, or function (step from 0, number of steps) -> learning rate
        seed: integer or tuple of integers
        first: epoch to begin with, for a run that goes on; `optimiser` then holds the state at that
            point
        on_epoch: called with (epochs done, optimiser) after each epoch

    Returns:
        torch.optim.Adam, whose state another call may keep

    Raises:
        ValueError: the loss is NaN or infinite (the learning rate is too high); bad data
    """
    check_data(x, y, soft=True)
    if not (0 <= first <= epochs and epochs >= 1 and batch_size >= 2):
        raise ValueError(
            f"need 0 ≤ first ≤ epochs, epochs ≥ 1 and batch_size ≥ 2, got {first}, {epochs}, "
            f"{batch_size}"
        )
    encoder, decoder, classifier = ensemble[0]
    with torch.no_grad():
        check_outputs(
            decoder, classifier, encoder(x[:2])[0], x, y.argmax(1) if y.is_floating_point() else y
        )
    M, d = len(ensemble), encoder(x[:1])[0].shape[1]
    prices = torch.stack(
        [torch.as_tensor(q, dtype=x.dtype, device=x.device).expand(M) for q in (1.0, lam, gam)], 1
    )
    if not (torch.isfinite(prices).all() and (prices >= 0).all()):
        raise ValueError(f"λ and γ must be finite and ≥ 0, got {lam}, {gam}")
    if optimiser is None:
        optimiser = ensemble.adam()
    seeds = (seed,) if isinstance(seed, int) else tuple(seed)
    batches = (
        len(x) // batch_size or 1
    )  # the last, incomplete minibatch of an epoch is left out: all weigh the same
    batch_size = min(batch_size, len(x))
    drops = any(isinstance(m, nn.modules.dropout._DropoutNd) for m in ensemble._skeleton.modules())
    try:
        for epoch in range(first, epochs):
            ensemble.mode(True)
            random, total = (
                generator(*seeds, epoch),
                torch.zeros((), dtype=x.dtype, device=x.device),
            )
            order = torch.randperm(len(x), generator=random, device="cpu").to(x.device)
            if x.is_cuda:
                random = generator(*seeds, epoch, device=x.device)
            with seeded(int(order[0]), x.device) if drops else contextlib.nullcontext():
                for batch in range(batches):
                    rate = lr(epoch * batches + batch, epochs * batches) if callable(lr) else lr
                    for group in optimiser.param_groups:
                        group["lr"] = rate
                    index = order[batch * batch_size : (batch + 1) * batch_size]
                    noise = torch.randn(
                        len(index), d, generator=random, dtype=x.dtype, device=x.device
                    )
                    loss = (
                        ensemble(x.index_select(0, index), y.index_select(0, index), noise) * prices
                    ).sum()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    total += loss.detach()
            if not math.isfinite(float(total)):
                raise ValueError(
                    f"the loss became NaN or infinite in epoch {epoch} at λ = {lam}, γ = {gam}: "
                    "the learning rate is "
                    "likely too high"
                )
            if on_epoch:
                on_epoch(epoch + 1, optimiser)
    finally:  # after an interruption too
        ensemble.mode(False)
    return optimiser


@torch.no_grad()
def refresh_statistics(ensemble, x, y, *, seed=0, chunk=5000):
    """Batch normalisation's means and variances as averages over all of x for the weights as they
    are now.

    The running averages of training lag behind the weights and remember only the last few
    minibatches; with these, R, D and C are functions of the weights. No effect without batch
    normalisation.
    """
    norms = [
        m for m in ensemble._skeleton.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    if not norms:
        return
    d = ensemble[0][0](x[:1])[0].shape[1]
    before, random = [m.momentum for m in norms], generator(seed, 1)
    chunk += len(x) % chunk == 1  # one image has no variance
    ensemble.mode(False)
    try:
        for m in norms:  # these alone: dropout stays off, as where the statistics will be used
            m.train()
        for k, (xc, yc) in enumerate(zip(x.split(chunk), y.split(chunk))):
            for m in norms:
                m.momentum = 1 / (k + 1)
            ensemble(
                xc,
                yc,
                torch.randn(len(xc), d, generator=random, dtype=x.dtype, device="cpu").to(x.device),
            )
    finally:
        for m, momentum in zip(norms, before):
            m.momentum = momentum
        ensemble.mode(False)


@torch.no_grad()
def evaluate(ensemble, x, y, *, seed=0, samples=8, chunk=5000):
    """R, D, C and accuracy of every member on (x, y), with noise that is a function of the seed:
    always the same.

    R is exact, D has one sample of z for each image, C and the accuracy `samples`.
    """
    ensemble.mode(False)
    d, random, sums = ensemble[0][0](x[:1])[0].shape[1], generator(seed, 2), 0.0
    for xc, yc in zip(x.split(chunk), y.split(chunk)):
        noise = torch.randn(samples, len(xc), d, generator=random, dtype=x.dtype, device="cpu").to(
            x.device
        )
        sums = sums + ensemble(xc, yc, noise, measure=True).double() * (len(xc) / len(x))
    return State(*sums.T)
