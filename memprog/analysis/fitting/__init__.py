"""Fitting a profile's numbers to what was measured: pure arrays in, estimates with intervals out."""
