"""Training on R + λD + γC by Adam on minibatches: one loop, for one network or for many at once.

    loss = Σ_m  R_m + λ_m D_m + γ_m C_m        z = μ + σε,  one sample ε for each image

The members of an `Ensemble` are one computation, each with its own (λ, γ). Those with one seed see
the same minibatches, noise and dropout masks: *common random numbers* (chapter 6).

Randomness has no state: what an epoch draws is a function of (seed, epoch), so that a run that
stopped between two epochs goes on as if it had not. It is drawn before the epoch's first step, and
until its last the host reads nothing from the device; on a GPU the step is one CUDA graph.
"""

import copy
import functools
import re
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .amortised import kl_to_standard_normal
from .errors import number, numbers
from .networks import check_networks


def generator(*seeds, device="cpu"):
    """A torch.Generator that is a function of the integers `seeds`, independent for other ones."""
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state))


def step_decay(step, steps, epochs=120, top=1e-3):
    """The learning rate from scratch (App. A): 1e-3, divided by ten every 50 of 120 epochs."""
    return top * 0.1 ** (step * epochs // steps // 50)


def schedule(t, T, peak=1.5e-3):
    """The learning rate of one equilibration (paper, §5.1), η = peak · s²(1 − s)⁵ / max, s = t/T.

    The paper gives both s²(1 − s)⁵, whose maximum is 0.0152 at s = 2/7, and a maximum of 1.5e-3: we
    scale to the latter. t counts the T mini-batches since the last change of (λ, γ).
    """
    if not T > 0 or not 0 <= t <= T:
        raise ValueError(f"need 0 ≤ t ≤ T and T > 0, got t = {t}, T = {T}")
    s, top = t / T, 2 / 7
    return peak * s**2 * (1 - s) ** 5 / (top**2 * (1 - top) ** 5)


def _masked(layer, arguments, _):
    """A hook: dropout by a mask, of mean one, set from outside. Without one it learns its shape."""
    (x,) = arguments
    if layer._mask is not None:
        return x * layer._mask
    # of Dropout1d and its like, one number for a whole channel
    layer._shape = x.shape if type(layer) is nn.Dropout else (*x.shape[:2], *[1] * (x.ndim - 2))
    return x


def architecture(net):
    """What a network is besides the values of its tensors, in lines of words."""
    named = [v for m in net.modules() for v in vars(m).items()]
    plain = [v for v in named if v[0][0] != "_" and v[0] != "training"]
    of = lambda v: f"{tuple(v.shape)}, {v.dtype}, {v.device}, {v.requires_grad = }"
    tensors = [f"{name}: {of(v)}" for name, v in _tensors(net).items()]
    return "\n".join([str(net), str(plain), *tensors])


def _tensors(module):
    """Parameters and buffers, those that are not persistent too, name -> tensor."""
    return dict([*module.named_parameters(), *module.named_buffers()])


class _Losses(nn.Module):
    """x (B, …), y (B,) or (B, Y), ε (B, d) -> (R, D, C), means over a minibatch; with ε (S, B, d)
    (R, D, C, accuracy), C and accuracy over all of ε, D with ε[0]: the decoder costs most.
    """

    def __init__(self, encoder, decoder, classifier):
        super().__init__()
        self.encoder, self.decoder, self.classifier = encoder, decoder, classifier

    def forward(self, x, y, noise, *masks):
        for layer, mask in zip(self.drops, masks):
            layer._mask = mask
        mu, log_sigma = self.encoder(x)
        z, measure = mu + log_sigma.exp() * noise, noise.ndim == 3
        R = kl_to_standard_normal(mu, log_sigma).mean()
        xhat = self.decoder(z[0] if measure else z)
        D = nn.functional.mse_loss(xhat, x, reduction="sum") / len(x)  # ‖x − x̂‖² an image
        if measure:
            z, y = z.flatten(0, 1), y.expand(len(noise), *y.shape).flatten(0, 1)
        logits = self.classifier(z)
        C = nn.functional.cross_entropy(logits, y)
        if not measure:
            return torch.stack([R, D, C])
        right = logits.argmax(1) == (y.argmax(1) if y.is_floating_point() else y)
        return torch.stack([R, D, C, right.to(x.dtype).mean()])

    @property
    def drops(self):
        return [m for m in self.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]


class Ensemble:
    """M networks as one: parameters and buffers stacked along the first axis.

    Args:
        members: List of (encoder, decoder, classifier), any modules of one architecture, or
            `ValueError`; they are copied. `ensemble[i]` is a copy of member i, for evaluation.
    """

    def __init__(self, members):
        if not members:
            raise ValueError("an ensemble needs at least one (encoder, decoder, classifier)")
        for member in members:
            parts = list(member) if isinstance(member, tuple | list) else []
            if len(parts) != 3 or not all(isinstance(m, nn.Module) for m in parts):
                three = "a member must be three modules (encoder, decoder, classifier)"
                raise TypeError(f"{three}, got {[type(m).__name__ for m in parts or [member]]}")
        networks = [_Losses(*member) for member in members]
        # a function of one name may stand at two places
        words = [re.sub(" at 0x[0-9a-f]+", "", architecture(net)).splitlines() for net in networks]
        pairs = (zip_longest(words[0], other, fillvalue="no more") for other in words)
        for a, b in ((a, b) for lines in pairs for a, b in lines if a != b):
            what = f"one has {a.strip()}, another {b.strip()}"
            raise ValueError(f"the members of an ensemble must have one architecture: {what}")
        # parameters and buffers, name -> (M, …): fresh leaves; frozen layers stay frozen
        self.stack = torch.func.stack_module_state(networks) if len(members) > 1 else None
        # one member trains as the module that it is: through `functional_call` it takes half as
        # long again
        self.member, self.net = (copy.deepcopy(networks[0]).eval() for _ in range(2))
        for layer in self.net.drops:
            if "Alpha" in type(layer).__name__:  # what it drops is not set to zero
                raise ValueError(f"{type(layer).__name__} has no common masks: take nn.Dropout")
            layer.register_forward_hook(_masked)
        self.mode(False)

    def __len__(self):
        return len(self.parameters()[0]) if self.stack else 1

    @torch.no_grad()
    def __getitem__(self, i):
        net, trained = copy.deepcopy(self.member), self.tensors()
        for k, v in _tensors(net).items():
            v.copy_(trained[k][i])
        return net.encoder, net.decoder, net.classifier

    def parameters(self):
        """The leaves that Adam moves."""
        return list(self.stack[0].values() if self.stack else self.net.parameters())

    def tensors(self, adam=None):
        """All parameters and buffers, and Adam's averages (zero at first), name -> (M, …), in the
        memory in which they are trained.
        """
        row = (lambda v: v) if self.stack else (lambda v: v.detach()[None])
        named = self.stack[0] | self.stack[1] if self.stack else _tensors(self.net)
        found = {k: row(v) for k, v in named.items()}
        for i, p in enumerate(self.parameters() if adam else ()):
            if not adam.state[p]:
                zeros = dict(exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
                step = torch.zeros((), dtype=torch.float32, device=p.device)
                adam.state[p].update(step=step, **zeros)
            for k, v in adam.state[p].items():
                found[f"adam.{i}.{k}"] = v.expand(len(self)) if k == "step" else row(v)
        return found

    def state(self, adam=None):
        """A copy of `tensors`."""
        return {k: v.detach().clone() for k, v in self.tensors(adam).items()}

    def load(self, state, adam=None):
        """Take over a `state` in place; `ValueError` if it is that of another kind of ensemble."""
        mine = self.tensors(adam)
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in state.items()}:
            raise ValueError("the state is that of another ensemble: other parameters or shapes")
        with torch.no_grad():
            for k, v in mine.items():
                adams = k.startswith("adam.") and k.endswith(".step")
                one = slice(1 if adams else None)  # one number, which all share
                v[one].copy_(state[k][one])

    def __call__(self, x, y, noise, *masks, shared=True):
        """(R, D, C) of every member, (M, 3); with noise (S, B, d) also accuracy, (M, 4). Unless
        `shared`, x, y, noise and masks have a first axis of length M.
        """
        data = x, y, noise, *masks
        if not self.stack:
            return self.net(*data)[None]
        one = lambda w, b, *data: torch.func.functional_call(self.net, (w, b), data)
        in_dims = 0, 0, *[None if shared else 0] * len(data)
        return torch.func.vmap(one, in_dims)(*self.stack, *data)

    def mode(self, training):
        """Training mode (batch statistics, dropout) or evaluation mode, as `nn.Module.train`."""
        self.net.train(training)
        for layer in self.net.drops:
            layer.eval()._mask = None


def _draws(seeds, batches, size, x, d, drops):
    """The chance in an epoch, a function of the integers `seeds` alone, on the device of x (N, …):
    indices (batches, B), noise (batches, B, d), and for each layer of `drops` masks (batches, …),
    whose own generator begins with the epoch's first index, so that they change no other number.
    """
    random = generator(*seeds)
    order = torch.randperm(len(x), generator=random, device="cpu")
    mask_random = torch.Generator(x.device).manual_seed(int(order[0]))
    if x.device.type != "cpu":
        random = generator(*seeds, device=x.device)
    made = dict(generator=random, dtype=x.dtype, device=x.device)
    noise = torch.stack([torch.randn(size, d, **made) for _ in range(batches)])

    def mask(layer):
        kept = x.new_empty(layer._shape).bernoulli_(1 - layer.p, generator=mask_random)
        return kept.div_(1 - layer.p)

    masks = [[mask(layer) for layer in drops] for _ in range(batches)]
    order = order[: batches * size].view(batches, size).to(x.device)
    return order, noise, *map(torch.stack, zip(*masks))


class _CapturedStep:
    """`step(*tensors)` as one CUDA graph: the same kernels in the same memory, without Python.

    A replay reads its arguments where the first ones lay. What a capture needs to have tried
    beforehand moves θ and Adam; `undo` brings both back.
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
    resume=None,
    on_epoch=None,
    capture=None,
):
    """Adam on minibatches of R + λD + γC for all members at once.

    Args:
        ensemble: `Ensemble`, which changes in place, in evaluation mode afterwards.
        x, y: Images (N, …) on the device of the ensemble and labels (N,), or (N, Y) probabilities
            of labels; or lists of M such (one tensor serves all).
        lam, gam: λ and γ, each a number or M numbers.
        epochs: Number of passes; minibatches are of one size, what is left over is left out.
        lr: Learning rate, or function (step from 0, number of steps) -> learning rate.
        seed: Integer or tuple of integers, or a list of M: members with one seed have common
            minibatches, noise and masks.
        resume: (epochs done, state), as `on_epoch` was told, of a run that goes on.
        on_epoch: Called after each epoch with the number done and a function that returns the
            state by which the run can be resumed.
        capture: Whether the step becomes a CUDA graph (default: on a GPU).

    Returns (R, D, C) in nats per example, averages over each epoch's minibatches while θ moved,
    (epochs, M, 3). Raises `ValueError` where the loss is NaN or infinite (the learning rate is too
    high), and `ValueError` or `TypeError` for what does not fit, see `check_networks`.
    """
    M = len(ensemble)
    first, state = resume or (0, None)
    epochs = number("epochs", epochs, first + 1, whole=True)
    batch_size = number("batch_size", batch_size, 2, whole=True)
    lam, gam = numbers("λ", lam), numbers("γ", gam)
    seeds = [s if isinstance(s, tuple) else (s,) for s in _listed(seed, M)]
    seeds = [tuple(number("seed", v, whole=True) for v in s) for s in seeds]
    pairs = [*zip(_listed(x, M), _listed(y, M))]
    tasks = {(id(a), id(b)): (a, b) for a, b in pairs}  # each once
    for data in tasks.values():
        d = check_networks(*ensemble[0], *data)
    if len(shapes := {tuple(images.shape) for images, _ in pairs}) > 1:
        raise ValueError(f"all members need as many images, of one shape, got {shapes}")
    X, Y = (v[0] if len(v) == 1 else torch.cat(v) for v in zip(*tasks.values()))
    prices = [(1.0, *pair) for pair in zip(_listed(lam, M), _listed(gam, M))]
    prices, images = X.new_tensor(prices), pairs[0][0]
    first_image = {key: k * len(images) for k, key in enumerate(tasks)}
    offsets = [first_image[id(a), id(b)] for a, b in pairs]
    shared = len(tasks) == 1 and len(set(seeds)) == 1  # then one minibatch serves all members
    size = min(batch_size, number("the number of images", len(images), 2, whole=True))
    batches, adam = len(images) // size, torch.optim.Adam(ensemble.parameters(), fused=True)
    if resume:
        ensemble.load(state, adam)
    # Adam's fused kernel takes its rate as a double on the CPU, as a float elsewhere
    rates = dict(device=X.device, dtype=torch.float32)
    rates = dict(device="cpu", dtype=torch.float64) if X.device.type == "cpu" else rates
    (group,) = adam.param_groups
    group["lr"], group["capturable"] = torch.zeros((), **rates), X.is_cuda
    total, history = torch.zeros(M, 3, dtype=X.dtype, device=X.device), []
    with torch.no_grad():
        ensemble.net(X[:size], Y[:size], X.new_zeros(size, d))  # dropout learns its shapes

    def chance(epoch):
        drops = ensemble.net.drops
        drawn = {s: _draws((*s, epoch), batches, size, images, d, drops) for s in set(seeds)}
        if shared:
            return drawn[seeds[0]]
        order, *rest = (torch.stack(v, 1) for v in zip(*(drawn[s] for s in seeds)))
        return order + torch.tensor(offsets, device=X.device)[:, None], *rest

    def step(rate, index, noise, *masks):
        group["lr"].copy_(rate)
        flat = index.flatten()
        xb, yb = (v.index_select(0, flat).view(*index.shape, *v.shape[1:]) for v in (X, Y))
        terms = ensemble(xb, yb, noise, *masks, shared=shared)
        adam.zero_grad()
        (terms * prices).sum().backward()
        adam.step()
        total.add_(terms.detach())

    run, captured = step, X.is_cuda if capture is None else capture
    try:
        for epoch in range(first, epochs):
            ensemble.mode(True)
            now, end = epoch * batches, epochs * batches
            rate = [lr(k, end) if callable(lr) else lr for k in range(now, now + batches)]
            rate = [number("lr", value) for value in rate]
            steps = list(zip(torch.tensor(rate, **rates), *chance(epoch)))
            if captured and run is step:
                undo = functools.partial(ensemble.load, ensemble.state(adam), adam)
                run = _CapturedStep(step, steps[0], undo)
            total.zero_()
            for arguments in steps:
                run(*arguments)
            history.append((total / batches).cpu())
            if not torch.isfinite(history[-1]).all():
                raise ValueError(
                    f"the loss became NaN or infinite in epoch {epoch} at λ = {lam}, γ = {gam}: "
                    f"R, D, C = {history[-1].tolist()}. The learning rate is likely too high"
                )
            if on_epoch:
                on_epoch(epoch + 1, functools.partial(ensemble.state, adam))
    finally:  # after an interruption too
        ensemble.mode(False)
    return torch.stack(history)


def _listed(value, M):
    """A value for each of M members: those of a list, or one for all."""
    value = value if isinstance(value, list) else [value]
    if len(value) not in (1, M):
        raise ValueError(f"need one value or {M}, one for each member, got {len(value)}")
    return value * (M if len(value) == 1 else 1)


@torch.no_grad()
def refresh_statistics(ensemble, x, y, *, chunk=5000):
    """Batch normalisation's means and variances as averages over x for the weights as they are.

    The running averages of training lag behind the weights; with these, R, D and C are functions of
    the weights. Dropout stays off. Raises what `check_networks` does.
    """
    norms = [m for m in ensemble.net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    ensemble.mode(False)
    d, random = check_networks(*ensemble[0], x, y), generator(0, 1)
    momenta = [m.momentum for m in norms]
    chunk += len(x) % chunk == 1  # one image has no variance
    try:
        for k, (xc, yc) in enumerate(zip(x.split(chunk), y.split(chunk))):
            for m in norms:
                m.train().momentum = 1 / (k + 1)
            noise = torch.randn(len(xc), d, generator=random, dtype=x.dtype, device="cpu")
            ensemble(xc, yc, noise.to(x.device))
    finally:  # after an interruption too
        for m, momentum in zip(norms, momenta):
            m.eval().momentum = momentum


class State(NamedTuple):
    """R, D, C in nats per example and accuracy, each (M,), of every member on one data set."""

    rate: torch.Tensor
    distortion: torch.Tensor
    classification: torch.Tensor
    accuracy: torch.Tensor


@torch.no_grad()
def evaluate(ensemble, x, y, *, seed=0, chunk=5000):
    """`State` of every member on (x, y), with noise that is a function of the seed.

    R is exact, D has one sample of z for each image, C and the accuracy eight. Raises what
    `check_networks` does.
    """
    d, random, sums = check_networks(*ensemble[0], x, y), generator(seed, 2), 0.0
    ensemble.mode(False)
    for xc, yc in zip(x.split(chunk), y.split(chunk)):
        noise = torch.randn(8, len(xc), d, generator=random, dtype=x.dtype, device="cpu")
        terms = ensemble(xc, yc, noise.to(x.device))
        sums = sums + terms.cpu().double() * (len(xc) / len(x))
    return State(*sums.T)
