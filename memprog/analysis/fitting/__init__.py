"""Fitting a profile's numbers to what was measured: pure arrays in, estimates with intervals out."""

from memprog.analysis.fitting.found import Found, jackknife
from memprog.analysis.fitting.noise import Fluctuations, Quiet, wandering
from memprog.analysis.fitting.together import fit_logs, fit_noise

__all__ = ["Fluctuations", "Found", "Quiet", "fit_logs", "fit_noise", "jackknife", "wandering"]
