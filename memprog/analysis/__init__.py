"""What measurements and rebuilt weights mean: figures that need no chip and no file of a run."""
