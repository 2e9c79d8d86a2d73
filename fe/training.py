"""Training on R + λD + γC by Adam on minibatches: one loop, for one network or for many at once.

    loss = Σ_m  R_m + λ_m D_m + γ_m C_m        z = μ + σε,  one sample ε for each image

The members of an `Ensemble` are one computation: their parameters are stacked along a first axis of
length M, and one pass through `torch.func.vmap` serves all. On a GPU, M small networks cost little
more than one. Each member has its own (λ, γ), and members with one seed see the same minibatches,
the same noise and the same dropout masks: *common random numbers*. Derivatives of C and D by finite
differences compare networks trained at λ ± δ and γ ± δ; trained with seeds of their own they differ
by more than the derivative (chapter 6 measures it), with common ones what is random cancels.

Randomness has no state: what an epoch draws is a function of (seed, epoch). A run that stopped
between two epochs goes on as if it had not. It is drawn before the epoch's first step, and between
two epochs the host reads nothing from the device; on a GPU the step is one CUDA graph.
"""

import contextlib
import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .amortised import check_networks, kl_to_standard_normal
from .equilibrium import schedule


def generator(*seeds, device="cpu"):
    """A torch.Generator that is a function of the integers `seeds`, independent for other ones."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state))


def step_decay(step, steps, epochs=120, top=1e-3):
    """The learning rate from scratch (App. A): 1e-3, divided by ten every 50 of 120 epochs."""
    return top * 0.1 ** (step * epochs // steps // 50)


class _Dropout(nn.Module):
    """A layer of dropout whose masks, of mean one, are given to it from outside."""

    def __init__(self, layer):
        super().__init__()
        if type(layer) not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d):
            raise ValueError(f"{type(layer).__name__} has no common masks: take nn.Dropout")
        self.layer, self.shape, self.mask = layer, None, None

    def forward(self, x):
        if self.mask is not None:
            return x * self.mask
        plain = type(self.layer) is nn.Dropout
        self.shape = x.shape if plain else (*x.shape[:2], *[1] * (x.ndim - 2))
        return x

    def draw(self, random, like):
        kept = 1 - self.layer.p
        mask = torch.empty(self.shape, dtype=like.dtype, device=like.device)
        return mask.bernoulli_(kept, generator=random).div_(kept)


def _swap(module, kind, make):
    """Replace every submodule of this kind by `make` of it."""
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            _swap(child, kind, make)
    return module


class _Losses(nn.Module):
    """x (B, …), y (B,) or (B, Y), ε (B, d) -> (R, D, C), the means over a minibatch."""

    def __init__(self, encoder, decoder, classifier):
        super().__init__()
        self.encoder, self.decoder, self.classifier = encoder, decoder, classifier

    def forward(self, x, y, noise, masks=(), measure=False):
        for layer, mask in zip(self.drops, masks):
            layer.mask = mask
        mu, log_sigma = self.encoder(x)
        z = mu + log_sigma.exp() * noise
        R = kl_to_standard_normal(mu, log_sigma).mean()
        xhat = self.decoder(z[0] if measure else z)
        D = nn.functional.mse_loss(xhat, x, reduction="sum") / len(x)  # ‖x − x̂‖² an image
        if not measure:
            return torch.stack([R, D, nn.functional.cross_entropy(self.classifier(z), y)])
        logits = self.classifier(z.flatten(0, 1))
        y = y.expand(len(noise), *y.shape).flatten(0, 1)
        right = logits.argmax(1) == (y.argmax(1) if y.is_floating_point() else y)
        C = nn.functional.cross_entropy(logits, y)
        return torch.stack([R, D, C, right.to(x.dtype).mean()])

    @property
    def drops(self):
        return [m for m in self.modules() if isinstance(m, _Dropout)]


class Ensemble:
    """M members of one architecture: parameters and buffers stacked along the first axis.

    `ensemble[i]` gives member i back as ordinary modules, in evaluation mode; `state()` and
    `load(state)` a dict of tensors for a checkpoint.

    Args:
        members: List of (encoder, decoder, classifier), any modules of one architecture. They are
            copied and stay as they are.

    Raises:
        ValueError: No members, or members of different architectures.
    """

    def __init__(self, members):
        if not members:
            raise ValueError("an ensemble needs at least one (encoder, decoder, classifier)")
        networks = [_Losses(*member) for member in members]
        self.stack = None
        if len(members) > 1:
            try:
                parameters, buffers = torch.func.stack_module_state(networks)
            except (ValueError, RuntimeError, KeyError) as e:
                raise ValueError(
                    f"the members of an ensemble must have one architecture: {e}"
                ) from e
            self.stack = parameters, buffers  # fresh leaves; frozen layers stay frozen
        # one member trains as the module that it is: a batched product with one batch is slower
        self.net = _swap(copy.deepcopy(networks[0]), nn.modules.dropout._DropoutNd, _Dropout)
        self.mode(False)

    def __len__(self):
        return 1 if self.stack is None else len(next(iter(self.stack[0].values())))

    def __getitem__(self, i):
        net = copy.deepcopy(self.net)
        net.load_state_dict({k: v[i] for k, v in self.tensors().items()})
        net = _swap(net, _Dropout, lambda masked: masked.layer).eval()
        return net.encoder, net.decoder, net.classifier

    def tensors(self):
        """All parameters and buffers, name -> (M, …), in the memory in which they are trained."""
        if self.stack is not None:
            return self.stack[0] | self.stack[1]
        both = [*self.net.named_parameters(), *self.net.named_buffers()]
        return {k: v.detach()[None] for k, v in both}

    def parameters(self):
        """The leaves that Adam moves."""
        return list(self.net.parameters() if self.stack is None else self.stack[0].values())

    def _averages(self, adam):
        """What Adam keeps, name -> (M, …), in the memory in which it changes; zero at first."""
        found = {}
        for i, p in enumerate(self.parameters() if adam else ()):
            if not adam.state[p]:
                zeros = dict(exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                step = torch.zeros((), dtype=torch.float32, device=p.device)
                adam.state[p].update(step=step, **zeros)
            for k, v in adam.state[p].items():
                several = self.stack is not None and k != "step"
                found[f"adam.{i}.{k}"] = v if several else v.expand(len(self), *v.shape)
        return found

    def state(self, adam=None):
        """A copy of all parameters and buffers, and of Adam's averages, name -> (M, …)."""
        return {k: v.detach().clone() for k, v in (self.tensors() | self._averages(adam)).items()}

    def load(self, state, adam=None):
        """Parameters and buffers, and Adam's averages, from a `state`, in place.

        Raises:
            ValueError: It is the state of another architecture or number of members.
        """
        mine = self.tensors() | self._averages(adam)
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError(
                "the state is that of another ensemble: other names or shapes of parameters"
            )
        with torch.no_grad():
            for k, v in mine.items():
                one = slice(1 if k.startswith("adam.") and k.endswith(".step") else None)
                v[one].copy_(state[k][one])

    def __call__(self, x, y, noise, masks=(), measure=False, shared=True):
        """(R, D, C) of every member, (M, 3); with `measure` (R, D, C, accuracy), (M, 4), where C
        and accuracy are averages over the noise (S, B, d), D is with its first sample: the decoder
        costs most. Unless `shared`, x, y, noise and masks have a first axis of length M.
        """
        if self.stack is None:
            return self.net(x, y, noise, masks, measure)[None]

        def one(parameters, buffers, x, y, noise, masks):
            arguments = x, y, noise, masks, measure
            return torch.func.functional_call(self.net, (parameters, buffers), arguments)

        data = None if shared else 0
        return torch.func.vmap(one, in_dims=(0, 0, data, data, data, data))(
            *self.stack, x, y, noise, masks
        )

    def mode(self, training):
        """Training mode (batch statistics, dropout) or evaluation mode, as `nn.Module.train`."""
        self.net.train(training)
        for layer in self.net.drops:
            layer.mask = None

    def code_size(self, x):
        """The number d of dimensions of the code."""
        with torch.no_grad():
            return self.net.encoder(x[:1])[0].shape[1]


class History(NamedTuple):
    """Averages over each epoch's minibatches while θ moved, each (epochs, M); nats per example."""

    rate: torch.Tensor
    distortion: torch.Tensor
    classification: torch.Tensor


class Draws(NamedTuple):
    """The chance in an epoch: indices (batches, B), noise (batches, B, d), masks (batches, …)."""

    order: torch.Tensor
    noise: torch.Tensor
    masks: tuple

    @classmethod
    def of(cls, seeds, batches, size, images, like, d, drops):
        """A function of the integers `seeds` alone, on the device and in the dtype of `like`.

        Masks are drawn by generators of their own, so that dropout changes no other number.
        """
        random = generator(*seeds)
        order = torch.randperm(images, generator=random, device="cpu")
        mask_random = torch.Generator(like.device).manual_seed(int(order[0]))
        if like.device.type != "cpu":
            random = generator(*seeds, device=like.device)
        made = dict(generator=random, dtype=like.dtype, device=like.device)
        noise = torch.stack([torch.randn(size, d, **made) for _ in range(batches)])
        masks = [[layer.draw(mask_random, like) for layer in drops] for _ in range(batches)]
        order = order[: batches * size].view(batches, size).to(like.device)
        return cls(order, noise, tuple(map(torch.stack, zip(*masks))))


class CapturedStep:
    """`step(*tensors)` as one CUDA graph: the same kernels in the same memory, without Python.

    A replay reads its arguments where the first ones lay, so that new ones are copied there. What
    is tried beforehand, as a capture needs it, moves θ and Adam; `undo` brings both back.
    """

    def __init__(self, step, arguments, undo):
        self.static = [a.clone() for a in arguments]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(*self.static)
        torch.cuda.current_stream().wait_stream(side)
        undo()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            step(*self.static)

    def __call__(self, *arguments):
        for here, new in zip(self.static, arguments):
            here.copy_(new)
        self.graph.replay()


def train_ensemble(
    ensemble,
    x,
    y,
    lam,
    gam,
    epochs,
    lr=schedule,
    seed=0,
    *,
    batch_size=250,
    first=0,
    adam=None,
    on_epoch=None,
    draw=Draws.of,
    capture=None,
):
    """Adam on minibatches of R + λD + γC for all members at once.

    Args:
        ensemble: `Ensemble`, which changes in place, in evaluation mode afterwards.
        x: Images (N, …) on the device of the ensemble, or a list of M such, a task for each member.
        y: Labels (N,), or (N, Y) probabilities of labels, or a list of M.
        lam: λ, a number or M numbers.
        gam: γ, a number or M numbers.
        epochs: Number of passes; minibatches are of one size, so that what is left over at the end
            of a pass is left out of it.
        lr: Learning rate, or function (step from 0, number of steps) -> learning rate.
        seed: Integer or tuple of integers, or a list of M: members with one seed have common
            minibatches, noise and masks.
        batch_size: B.
        first: Epoch to begin with, for a run that goes on; `adam` is then its state at that point.
        adam: What an earlier call returned, to go on with its averages.
        on_epoch: Called with (epochs done, adam, (M, 3) means of R, D, C) after each epoch.
        draw: What an epoch draws; see `Draws.of`.
        capture: Whether the step becomes a CUDA graph (default: on a GPU).

    Returns:
        `History` and the `torch.optim.Adam`, which another call may be given.

    Raises:
        ValueError: The loss is NaN or infinite (the learning rate is too high).
        ValueError, TypeError: Bad prices, numbers of epochs or images; see `check_networks`.
    """
    M, xs, ys = len(ensemble), *([v] if isinstance(v, torch.Tensor) else list(v) for v in (x, y))
    seeds = [(s,) if isinstance(s, int) else tuple(s) for s in _listed(seed, M)]
    if not (0 <= first <= epochs and epochs >= 1 and batch_size >= 2):
        raise ValueError(
            f"need 0 ≤ first ≤ epochs, epochs ≥ 1 and batch_size ≥ 2, got {first}, {epochs}, "
            f"{batch_size}"
        )
    if not len(xs) == len(ys) in (1, M) or len({v.shape for v in xs}) > 1:
        raise ValueError(
            f"x and y must be tensors, or lists of {M} with as many images each, got "
            f"{[tuple(v.shape) for v in xs]}"
        )
    tasks = {(id(a), id(b)): (a, b) for a, b in zip(xs, ys)}
    for data in tasks.values():
        check_networks(*ensemble[0], *data)
    like, images, d = xs[0][:0], len(xs[0]), ensemble.code_size(xs[0])
    prices = torch.stack([_prices(q, M, like) for q in (1.0, lam, gam)], 1)
    if not (torch.isfinite(prices).all() and (prices >= 0).all()):
        raise ValueError(f"λ and γ must be finite and ≥ 0, got {lam}, {gam}")
    shared, places = len(tasks) == 1 and len(set(seeds)) == 1, list(tasks)
    offsets = [images * places.index((id(a), id(b))) for a, b in _listed([*zip(xs, ys)], M)]
    X, Y = (v[0] if len(v) == 1 else torch.cat(v) for v in zip(*tasks.values()))
    size = min(batch_size, images)
    batches, adam = images // size, adam or torch.optim.Adam(ensemble.parameters(), fused=True)
    # Adam's fused kernel takes its rate as a double on the CPU, as a float elsewhere
    rates = dict(device=like.device, dtype=torch.float32)
    if like.device.type == "cpu":
        rates = dict(device="cpu", dtype=torch.float64)
    (group,) = adam.param_groups
    group["lr"], group["capturable"] = torch.zeros((), **rates), X.is_cuda
    total, history = torch.zeros(M, 3, dtype=like.dtype, device=like.device), []

    def step(index, noise, rate, *masks):
        group["lr"].copy_(rate)
        flat = index.flatten()
        xb, yb = (v.index_select(0, flat).view(*index.shape, *v.shape[1:]) for v in (X, Y))
        terms = ensemble(xb, yb, noise, masks, shared=shared)
        adam.zero_grad()
        (terms * prices).sum().backward()
        adam.step()
        total.add_(terms.detach())

    with torch.no_grad():
        ensemble.net(X[:size], Y[:size], like.new_zeros(size, d))  # dropout learns its shapes
    drops = ensemble.net.drops

    def epoch_of(epoch):
        drawn = {s: draw((*s, epoch), batches, size, images, like, d, drops) for s in set(seeds)}
        if shared:
            return drawn[seeds[0]]
        order = torch.stack([drawn[s].order + k for s, k in zip(seeds, offsets)], 1)
        noise = torch.stack([drawn[s].noise for s in seeds], 1)
        masks = (torch.stack(m, 1) for m in zip(*(drawn[s].masks for s in seeds)))
        return Draws(order, noise, tuple(masks))

    run = None
    try:
        for epoch in range(first, epochs):
            ensemble.mode(True)
            order, noise, masks = epoch_of(epoch)
            now, all_ = epoch * batches, epochs * batches
            rate = [lr(k, all_) if callable(lr) else lr for k in range(now, now + batches)]
            rate = torch.tensor(rate, **rates)
            steps = list(zip(*(v.unbind() for v in (order, noise, rate, *masks))))
            if run is None:
                captured = X.is_cuda if capture is None else capture
                before = ensemble.state(adam) if captured else None
                undo = lambda before=before: ensemble.load(before, adam)
                run = CapturedStep(step, steps[0], undo) if captured else step
            total.zero_()
            for arguments in steps:
                run(*arguments)
            means = (total / batches).cpu()
            if not torch.isfinite(means).all():
                raise ValueError(
                    f"the loss became NaN or infinite in epoch {epoch} at λ = {lam}, γ = {gam}: "
                    f"R, D, C = {means.tolist()}. The learning rate is likely too high"
                )
            history.append(means)
            if on_epoch:
                on_epoch(epoch + 1, adam, means)
    finally:  # after an interruption too
        ensemble.mode(False)
    history = torch.stack(history) if history else torch.zeros(0, M, 3, device="cpu")
    return History(*history.unbind(2)), adam


def _listed(value, M):
    """M values: those of a list, or one for all."""
    value = value if isinstance(value, list) else [value]
    if len(value) not in (1, M):
        raise ValueError(f"need one value or {M}, one for each member, got {len(value)}")
    return value * (M if len(value) == 1 else 1)


def _prices(value, M, like):
    try:
        return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(M)
    except (RuntimeError, TypeError, ValueError) as e:
        raise ValueError(f"λ and γ must be numbers, or {M} numbers each, got {value!r}") from e


def train(encoder, decoder, classifier, x, y, p, epochs, batch_size, lr, seed):
    """`train_ensemble` for one network of three modules, which change in place.

    Two runs with one seed see the same minibatches and the same noise, whatever their λ, γ or
    initial weights: common random numbers.

    Args:
        encoder: x (N, …) -> (μ, log σ), each (N, d).
        decoder: z (N, d) -> x̂ (N, …).
        classifier: z (N, d) -> logits (N, Y).
        x: Images (N, …) on the device and in the dtype of the modules.
        y: Labels (N,).
        p: (λ, γ).
        epochs: Number of passes over x.
        batch_size: B; what is left over at the end of a pass is left out of it.
        lr: Learning rate, or function (step from 0, number of steps) -> learning rate, for example
            `fe.schedule`.
        seed: Of the order of the minibatches, of the noise and of dropout.

    Returns:
        `History` of vectors (epochs,).

    Raises:
        ValueError, TypeError: As `train_ensemble` does.
    """
    order, noise, mask = (torch.Generator(v).manual_seed(seed) for v in ("cpu", x.device, x.device))

    def draw(_, batches, size, images, like, d, drops):  # the generators run on, epoch by epoch
        index = torch.randperm(images, generator=order, device="cpu")[: batches * size]
        made = dict(generator=noise, dtype=like.dtype, device=like.device)
        draws = torch.stack([torch.randn(size, d, **made) for _ in range(batches)])
        masks = [[layer.draw(mask, like) for layer in drops] for _ in range(batches)]
        index = index.view(batches, size).to(like.device)
        return Draws(index, draws, tuple(map(torch.stack, zip(*masks))))

    ensemble, modules = Ensemble([(encoder, decoder, classifier)]), (encoder, decoder, classifier)
    options = dict(batch_size=batch_size, draw=draw)
    try:
        history, _ = train_ensemble(ensemble, x, y, *map(float, p), epochs, lr, seed, **options)
    finally:
        for module, trained in zip(modules, ensemble[0]):
            module.load_state_dict(trained.state_dict())
            module.eval()
    return History(*(v[:, 0] for v in history))


@contextlib.contextmanager
def _statistics(norms):
    """Batch normalisation's layers alone in training mode, their momenta as before afterwards."""
    before = [m.momentum for m in norms]
    try:
        for m in norms:
            m.train()
        yield
    finally:
        for m, momentum in zip(norms, before):
            m.momentum = momentum
            m.eval()


@torch.no_grad()
def refresh_statistics(ensemble, x, y, *, seed=0, chunk=5000):
    """Batch normalisation's means and variances as averages over x for the weights as they are.

    The running averages of training lag behind the weights and remember only the last few
    minibatches; with these, R, D and C are functions of the weights. No effect without batch
    normalisation. Dropout stays off, as where the statistics will be used.
    """
    norms = [m for m in ensemble.net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    ensemble.mode(False)
    d, random = ensemble.code_size(x), generator(seed, 1)
    chunk += len(x) % chunk == 1  # one image has no variance
    with _statistics(norms):
        for k, (xc, yc) in enumerate(zip(x.split(chunk), y.split(chunk))):
            for m in norms:
                m.momentum = 1 / (k + 1)
            noise = torch.randn(len(xc), d, generator=random, dtype=x.dtype, device="cpu")
            ensemble(xc, yc, noise.to(x.device))


class State(NamedTuple):
    """R, D, C in nats per example and accuracy, each (M,), of every member on one data set."""

    rate: torch.Tensor
    distortion: torch.Tensor
    classification: torch.Tensor
    accuracy: torch.Tensor


@torch.no_grad()
def evaluate(ensemble, x, y, *, seed=0, samples=8, chunk=5000):
    """`State` of every member on (x, y), with noise that is a function of the seed.

    R is exact, D has one sample of z for each image, C and the accuracy `samples`.
    """
    ensemble.mode(False)
    d, random, sums = ensemble.code_size(x), generator(seed, 2), 0.0
    for xc, yc in zip(x.split(chunk), y.split(chunk)):
        noise = torch.randn(samples, len(xc), d, generator=random, dtype=x.dtype, device="cpu")
        terms = ensemble(xc, yc, noise.to(x.device), measure=True)
        sums = sums + terms.cpu().double() * (len(xc) / len(x))
    return State(*sums.T)
