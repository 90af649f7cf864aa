"""Fit fluctuators to a trace by maximum likelihood, as many as the trace gives reason for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memprog.analysis.noise.climbing import climb
from memprog.analysis.noise.coarse import coarse_starts
from memprog.analysis.noise.colour import colour_gain
from memprog.analysis.noise.dependence import are_independent
from memprog.analysis.noise.model import Likelihood, Look
from memprog.analysis.noise.starts import Guess, by_jumps, by_threshold
from memprog.chip import FloatArray

MOST_FLUCTUATORS = 3
"""Eight levels: beyond it paths are too many to be told apart in a trace of ordinary length."""
CLEARLY = 10.0
"""Nats by which a further fluctuator must win. Real noise has heavier tails than the Gaussian rival's, which levels of
a few per cent of the noise imitate: in the measured traces they won by 2 to 4 nats, those seen by eye by 60 or more."""
BLUR_SIGNAL_TO_NOISE = 1.0
"""Steps this far above the noise show whether samples lie between two levels: not each one, but some hundred do."""
_SEEN = 8.0
"""Samples for which each sum of steps must be seen where all steps are taken from jumps."""
_PROMISING, _QUICK, _THOROUGH = 3, 12, 150
"""First guesses of one fluctuator that are followed up, iterations from each, and from the best of them."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The most likely parameters for a number of fluctuators, in the units and order of ``Shape``."""

    look: Look

    @property
    def parameters(self) -> FloatArray:
        """The parameters, (size,)."""
        return self.look.parameters

    @property
    def fluctuators(self) -> int:
        """How many fluctuators."""
        return self.look.likelihood.shape.fluctuators

    @property
    def sigma(self) -> float:
        """Deviation of the white noise."""
        return float(np.exp(self.parameters[self.look.likelihood.shape.sigma]))

    @property
    def is_seen(self) -> bool:
        """Whether every fluctuator stays in each of its levels for a sample or more: faster ones are but noise."""
        shape = self.look.likelihood.shape
        return bool((np.append(self.parameters[shape.up], self.parameters[shape.down]) < 0.0).all())

    @cached_property
    def residual(self) -> FloatArray:
        """Samples less one path, (n,): always the same one, so that a fit says the same whenever it is asked."""
        return self.look.residual(np.random.default_rng(0))

    @cached_property
    def criterion(self) -> float:
        """Log-likelihood less Schwarz's penalty, plus what a Gaussian model of the residual's colour would add.

        Coloured noise without fluctuators is the rival that a further fluctuator must beat: it too makes neighbouring
        samples alike, with two levels or more only by chance.
        """
        penalty = 0.5 * (self.look.likelihood.shape.size - 1) * np.log(len(self.look.off))
        return self.look.log_likelihood - float(penalty) + colour_gain(self.residual)


def fit_trace(
    samples: FloatArray, basis: FloatArray, most: int, made: list[Fitted], earlier: Sequence[Fitted] = ()
) -> Fitted:
    """Fit no fluctuator, then one, and so on, and keep the best by the criterion.

    Args:
        samples: (n,) in any unit.
        basis: (n, functions) of the baseline; the first is constant.
        most: fluctuators at most.
        made: fits to the same samples of no fluctuator, of one, and so on; those that are still missing are added.
        earlier: such fits to samples that were nearly the same; they are good guesses.
    """
    made += [] if made else [fit_count(samples, basis, 0, None)]
    best = made[0]
    reached, before = best.criterion, best.criterion
    for count in range(1, most + 1):
        if len(made) <= count:
            known = earlier[count] if len(earlier) > count else None
            made.append(fit_count(samples, basis, count, made[count - 1], known))
        last = made[count]
        if last.criterion > reached + CLEARLY and last.is_seen:
            best, reached = last, last.criterion
        # Colour is a strong rival of a few small fluctuators: one may lose to it where all of them win. Where there is
        # none left, there is nothing for another one.
        elif count > max(best.fluctuators, 1) and last.criterion <= before and colour_gain(last.residual) < CLEARLY:
            break
        before = last.criterion
    return best


def fit_count(
    samples: FloatArray, basis: FloatArray, count: int, fewer: Fitted | None, earlier: Fitted | None = None
) -> Fitted:
    """Fit a number of fluctuators, starting from the fit with one less, and from one to nearly the same samples."""
    model = Likelihood(samples, basis, count)
    if fewer is None:
        coefficients, *_ = np.linalg.lstsq(basis, samples, rcond=None)
        sigma = float((samples - basis @ coefficients).std()) or 1e-12
        return Fitted(look=model.look(np.concatenate([coefficients, [np.log(sigma), 0.0]])))
    tried = [climb(model, one.parameters, _QUICK) for one in (earlier,) if one and one.fluctuators == count]
    promising = 1 if tried or count > 1 else _PROMISING
    for base in _bases(fewer):
        tried += [climb(model, start, _QUICK) for start in _best(model, _more(model, base), promising)]
    # Three levels that exclude each other also look like two fluctuators whose sum is never seen; not wanted.
    anew = [climb(model, start, _QUICK) for start in _best(model, _all_anew(model), 1)]
    if count > 1:
        anew += [climb(model, start, _QUICK) for start in _best(model, coarse_starts(model), 1)]
    tried += [look for look in anew if are_independent(look) and look.smoothed.states.sum(axis=0).min() > _SEEN]
    best = max(tried, key=lambda look: look.log_likelihood, default=None)
    return fewer if best is None else refine(model, best.parameters)


def _bases(fewer: Fitted) -> list[Fitted]:
    """Give the fits beside which one more fluctuator is looked for.

    Too few fluctuators take the levels that they lack for averages of those that they have.
    """
    model, plain = fewer.look.likelihood, fewer.parameters.copy()
    if not model.shape.fluctuators or plain[model.shape.blur] == 0.0:
        return [fewer]
    plain[model.shape.blur] = 0.0
    return [fewer, Fitted(look=climb(model, plain, _THOROUGH))]


def refine(model: Likelihood, parameters: FloatArray) -> Fitted:
    """Climb to the top; how much samples are averaged is found out where steps are clear."""
    shape = model.shape
    if parameters[shape.blur] > 0.0:
        return Fitted(look=climb(model, parameters, _THOROUGH, blurs=True))
    look = climb(model, parameters, _THOROUGH)
    steps = look.parameters[shape.step] - look.parameters[shape.sigma]
    if shape.fluctuators and np.exp(steps).max() > BLUR_SIGNAL_TO_NOISE:
        start = look.parameters.copy()
        start[shape.blur] = 0.2
        blurred = climb(model, start, _THOROUGH, blurs=True)
        look = blurred if blurred.log_likelihood > look.log_likelihood else look
    return Fitted(look=look)


def refit(fitted: Fitted, samples: FloatArray, basis: FloatArray) -> Fitted:
    """Fit once more, from where a fit stands: other samples, or further functions of the baseline."""
    old = fitted.look.likelihood
    model = Likelihood(samples, basis, old.shape.fluctuators)
    more = np.zeros(model.shape.baseline - old.shape.baseline)
    start = np.insert(fitted.parameters, old.shape.drift.stop, more)
    return refine(model, start)


def _best(model: Likelihood, starts: Iterator[FloatArray], most: int) -> list[FloatArray]:
    """The likeliest of first guesses."""
    return sorted(starts, key=lambda start: -model.slope(start)[0])[:most]


def _more(model: Likelihood, fewer: Fitted) -> Iterator[FloatArray]:
    """First guesses of one more fluctuator beside those of the fit before."""
    for guess in by_threshold(fewer.residual):
        yield _joined(model, fewer, guess)


def _all_anew(model: Likelihood) -> Iterator[FloatArray]:
    """First guesses of all fluctuators from the jumps."""
    for guesses, sigma in by_jumps(model.samples, model.shape.fluctuators):
        # Whether samples are averages is not known, and where they are, one between levels would rule out the best.
        for blur in (0.0, 0.5):
            yield _anew(model, guesses, sigma, blur)


def _joined(model: Likelihood, fewer: Fitted, guess: Guess) -> FloatArray:
    old, shape, before = fewer.look.likelihood.shape, model.shape, fewer.parameters
    start = np.empty(shape.size)
    start[shape.up] = np.append(before[old.up], np.log(guess.up))
    start[shape.down] = np.append(before[old.down], np.log(guess.down))
    start[shape.step] = np.append(before[old.step], np.log(guess.step))
    start[shape.drift] = before[old.drift]
    start[shape.drift.start] += guess.lower
    share, variance = guess.up / (guess.up + guess.down), np.exp(2.0 * before[old.sigma])
    rest = variance - share * (1.0 - share) * guess.step**2
    start[shape.sigma], start[shape.blur] = 0.5 * np.log(max(rest, 0.05 * variance)), before[old.blur]
    return start


def _anew(model: Likelihood, guesses: list[Guess], sigma: float, blur: float) -> FloatArray:
    shape = model.shape
    start = np.zeros(shape.size)
    start[shape.up] = [np.log(guess.up) for guess in guesses]
    start[shape.down] = [np.log(guess.down) for guess in guesses]
    start[shape.step] = [np.log(guess.step) for guess in guesses]
    start[shape.drift.start] = guesses[0].lower
    start[shape.sigma] = np.log(1.2 * sigma)
    start[shape.blur] = blur
    return start
