"""Evolve a WDCGAN on scikit-learn's digits, look at what was found, and draw from it."""

import evogan

run = evogan.search("wdcgan_wide", "digits", evaluations=24, kimg=10, name="example")
assert run.best is not None
print("best genome:", dict(run.best.row.genome))
for confirmation in run.confirmations:
    print(f"{confirmation.name:>14}  FID {confirmation.mean:.1f} +- {confirmation.spread:.1f}")
print("report:", run.report())
print("images:", run.load_best().sample(64).shape)
