"""The papers' own theory: transport past a trapped charge, phase field of channels, wires."""
