"""Does each remedy help against the failure that it is named for? The deliberate failures of examples/failures, each as
it is and with a gene or two changed, on MNIST's fives: docs/failures.md.

    python benchmarks/remedies.py          SEEDS (5) trainings of 40 kimg each; EVOGAN_DATA names the folder with MNIST

With EVOGAN_RUNS it goes on where it stopped. FID, diversity and flags at the end of each training.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _record import record

import evogan
from evogan.evaluation.flags import flags_of
from evogan.genes import GENES
from evogan.genome import Value
from evogan.shipped import read_genome
from evogan.trial import Evaluation

FAILURES = Path(__file__).parent.parent / "examples" / "failures"
Changes = Mapping[str, Value]
REMEDIES: Mapping[str, Mapping[str, Changes]] = {
    "mode_collapse": {
        "nothing": {},
        "unrolled, 5 steps": {"unrolled": 5},
        "minibatch discrimination": {"minibatch": "discrimination"},
        "minibatch std": {"minibatch": "std"},
        "feature matching": {"feature_matching": "added"},
        "historical averaging": {"historical_averaging": 1e-3},
        "Jacobian clamping": {"jacobian_clamping": True},
        "virtual batch norm in the critic": {"critic_norm": "virtual_batch"},
        "relativistic average": {"relativistic": "average"},
        "R1": {"zero_penalty": "r1", "zero_penalty_weight": 10.0},
        "augmentation": {"augmentation": "translation"},
        "E-GAN": {"loss": "minimax", "evolution": True},
    },
    "vanishing_gradient": {
        "nothing": {},
        "critic pre-training, 500 steps": {"critic_pretraining": 500},
        "WGAN's long first steps": {"critic_long_steps": 100},
        "least squares": {"loss": "least_squares"},
        "Wasserstein, clipped": {"loss": "wasserstein", "critic_constraint": "clip", "clip": 0.1},
        "average pooling in the critic": {"critic_downsampling": "average"},
        "rates apart": {"learning_rate": 1e-5, "lr_ratio": 20.0},
    },
    "non_convergence": {
        "nothing": {},
        "rates apart": {"lr_ratio": 20.0},
        "gradients clipped": {"critic_gradient_clip": 1.0, "generator_gradient_clip": 1.0},
        "averaged generator": {"ema": 0.999},
        "historical averaging": {"historical_averaging": 1e-3},
        "R1, layer norm": {"critic_norm": "layer", "zero_penalty": "r1", "zero_penalty_weight": 10.0},
        "instance noise": {"instance_noise": 0.2},
        "critic held to the second singular value": {
            "critic_constraint": "sigma_clamp",
            "critic_sigma_unit": "second",
            "critic_sigma": 1.0,
        },
        "smaller batches of the critic": {"batch_ratio": 4},
    },
}


def main() -> None:
    seeds = int(os.environ.get("SEEDS", "5"))
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(os.environ.get("EVOGAN_RUNS", folder)) / "remedies"
        found = {
            (failure, remedy): [train(failure, changes, seed, runs) for seed in range(seeds)]
            for failure, remedies in REMEDIES.items()
            for remedy, changes in remedies.items()
        }
    record("remedies", {f"{failure}, {remedy}": summary(failure, e) for (failure, remedy), e in found.items()})
    print(table(found))


def train(failure: str, changes: Changes, seed: int, runs: Path) -> Evaluation:
    recipe = {**read_genome(str(FAILURES / f"{failure}.toml")).genome, **changes}
    genome = {name: value for name, value in recipe.items() if name in GENES.complete(recipe)}
    evaluation, _ = evogan.train(
        genome, "mnist", classes=(5,), kimg=40, samples=2000, precision="bf16", replicate=seed, runs=runs
    )
    fid = None if evaluation.failed else round(evaluation.scores[-1]["fid"], 1)
    print(failure, dict(changes), seed, evaluation.status, fid, flags_of(evaluation), flush=True)
    return evaluation


def summary(failure: str, found: list[Evaluation]) -> dict[str, Any]:
    done = [e for e in found if not e.failed]
    last = {name: [round(e.scores[-1][name], 4) for e in done] for name in ("fid", "diversity", "collision")}
    return {"flagged": sum(failure in flags_of(e) for e in found), "failed": len(found) - len(done), **last}


def table(found: Mapping[tuple[str, str], list[Evaluation]]) -> str:
    rows = [["failure", "remedy", "flagged", "FID", "diversity"], ["---"] * 5]
    for (failure, remedy), evaluations in found.items():
        numbers = summary(failure, evaluations)
        medians = [
            f"{statistics.median(numbers[x]):,.{digits}f}" if numbers[x] else "failed"
            for x, digits in (("fid", 0), ("diversity", 3))
        ]
        rows.append([failure.replace("_", " "), remedy, f"{numbers['flagged']}/{len(evaluations)}", *medians])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
