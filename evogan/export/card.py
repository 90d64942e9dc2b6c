"""A model card: what a generator was trained on and for how long, how good it is and how sure that is, in Markdown."""

from __future__ import annotations

import html
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from evogan.data.dataset import CAPTIONS
from evogan.data.sequences import CHARACTERS, SEQUENCES, WORDS
from evogan.engine import Store
from evogan.engine.history import RunFacts
from evogan.errors import one_line
from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.flags import explain
from evogan.evaluation.header import PLANE
from evogan.evaluation.written import LANGUAGE
from evogan.extremes import deviation, mean
from evogan.fitness import shipped_records
from evogan.report import facts
from evogan.report.page import genome_toml, train_command
from evogan.settings import GANSettings, SearchSettings
from evogan.trial import Choice, Evaluation, Identity, budget_in_words, budget_of
from evogan.version import __version__

LISTED = 20  # classes, or conditions
UNKNOWN = "not recorded in this store"
LICENCE = (
    "The weights were learned from the data above, and its licence and terms hold for what is done with them and with "
    "their images. evogan itself is under Apache-2.0."
)
MEANINGS = {
    "latent": "drawn from the prior, {prior}",
    "labels": "the class, from 0",
    "conditions": "the numbers of what is asked for",
    "sources": "the image that it makes another of, in [-1, 1]",
    "category": "a category, one-hot",
    "continuous": "continuous codes, about -1 to 1",
}
PRIORS = {
    "normal": "N(0, 1)",
    "uniform": "uniform in [-1, 1)",
    "bernoulli": "0 or 1",
    "censored_normal": "max(N(0, 1), 0)",
}


@dataclass(frozen=True)
class Known:
    """What a store knows of a generator: the data, its task, and all trainings of its genome for that task."""

    data: str = ""
    task: Mapping[str, Any] = field(default_factory=dict)
    trainings: Mapping[Identity, Evaluation] = field(default_factory=dict)
    judged_by: str = ""
    settings: GANSettings | None = None  # of a run that has the task


def known_of(generator: Generator, store: Store | None) -> Known:
    """Nothing where the store, or what its file says of its training, is not there."""
    key, task = (generator.facts.get(name) for name in ("key", "task"))
    data = str(generator.facts.get("data", ""))
    if store is None or key is None or task not in (tasks := store.tasks()):
        return Known(data)
    name, document = tasks[task]
    ids = [id for id, identity in store.identities().items() if identity[:2] == (key, task)]
    identities = store.identities()
    trainings = dict(zip((identities[id] for id in ids), store.evaluations_of(ids), strict=True))
    run = next((run for run in store.runs().values() if run.get("task") == task), None)
    whole = {i: e for i, e in trainings.items() if i[2] == 1.0}
    if run is None:
        return Known(name, document, whole)
    return Known(name, document, whole, RunFacts.recorded(run).judged_by, SearchSettings.recorded(run).gan)


def card(name: str, generator: Generator, known: Known, inputs: Mapping[str, tuple[int, ...]] | None = None) -> str:
    """As text. `inputs`: of an ONNX file, the shape of a row of each."""
    genome, said = generator.genome, generator.facts
    this = _this(generator, known.trainings)
    toml_name, more = f"{name}.toml", len(generator.classes) - LISTED
    return (
        environment()
        .get_template("card.md.j2")
        .render(
            name=name,
            about=facts.about(genome),
            version=__version__,
            size=said["image_size"],
            channels=said["channels"],
            points=generator.plane,
            tokens=len(generator.language.tokens) if generator.language else 0,
            classes=[*generator.classes[:LISTED], *([f"... {more:,} more"] if more > 0 else [])],
            data=_data(known),
            budget=_budget(known),
            fid=_fid(said.get("fid"), known),
            floor=_floor(known),
            failures=_failures(known.trainings),
            flags=list(explain(this[1]).values()) if this else [],
            parameters=sum(weights.numel() for weights in generator.weights().values()),
            inputs=[_input(generator, *one) for one in (inputs or {}).items()],
            command=_command(toml_name, generator, known, this),
            fingerprint="" if known.settings else known.task.get("fingerprint", ""),
            toml_name=toml_name,
            toml=genome_toml(name, genome),
            licence=LICENCE,
        )
    )


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("evogan.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["plain"] = _plain
    return made


def _plain(text: str) -> str:
    """Text that is no markup, and no more than one cell of a table."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(one_line(text), quote=False))


def _data(known: Known) -> str:
    if not known.data:
        return UNKNOWN
    shown = known.task.get("fingerprint")
    few = f"; labels of {known.task['labels']} images" if known.task.get("labels") else ""
    return f"{known.data}{f' (fingerprint {shown})' if shown else ''}{few}"


def _budget(known: Known) -> str:
    task = known.task
    if not task:
        return UNKNOWN
    return f"{budget_in_words(task)}, {task.get('precision', 'fp32')}"


def _values(known: Known) -> list[float]:
    return [e.kept["fid"] for e in known.trainings.values() if not e.failed and "fid" in e.kept]


def _fid(own: Any, known: Known) -> str:
    """Its own, and that of all trainings of the genome."""
    values = _values(known)
    samples = f"; of {known.task['samples']:,} samples" if "samples" in known.task else ""
    mine = f"{own:.4g}" if isinstance(own, int | float) else "not measured"
    if len(values) < 2:
        return f"{mine}{samples}; of one training, so its spread is not known"
    spread = facts.figured(mean(values), deviation(values))
    return f"{mine}{samples}; {spread} over {len(values)} trainings of this genome"


def _floor(known: Known) -> str:
    if known.judged_by:
        return known.judged_by
    fingerprint = known.task.get("fingerprint")
    record = next((record for record in shipped_records() if record.fingerprint == fingerprint), None)
    return record.describe() if record is not None else UNKNOWN


def _failures(trainings: Mapping[Identity, Evaluation]) -> str:
    ended = Counter(e.failure for e in trainings.values() if e.failure)
    if not trainings:
        return UNKNOWN
    said = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in ended.most_common() if kind)
    return f"{ended.total()} of {len(trainings)} trainings{f': {said}' if said else ''}"


def _this(generator: Generator, trainings: Mapping[Identity, Evaluation]) -> tuple[Identity, Evaluation] | None:
    """The training that it is of: its replicate's, with its FID; a file of before does not know its replicate."""
    own, replicate = generator.facts.get("fid"), generator.facts.get("replicate")
    if own is None and replicate is None:
        return None
    same = ((i, e) for i, e in trainings.items() if replicate in (None, i[3]) and e.kept.get("fid") == own)
    return next(same, None)


def _command(toml: str, generator: Generator, known: Known, this: tuple[Identity, Evaluation] | None) -> str:
    task, said = known.task, generator.facts
    replicate = ["--replicate", str(this[0][3])] if this and this[0][3] else []
    if known.settings is not None:
        return train_command(known.settings, (this and this[1].choice) or Choice(), toml, *replicate)
    words = ["evogan", "train", toml, "--data", known.data or "DATA"]
    if generator.language is not None and known.data.split(":")[0] not in SEQUENCES:
        words += ["--tokens", WORDS if generator.language.between else CHARACTERS]
    words += [] if LANGUAGE in said or PLANE in said else ["--image-size", str(said["image_size"])]
    if task:
        words += [f"--{(unit := budget_of(task))}", f"{task[unit]:.12g}"]
    words += ["--samples", str(task["samples"])] if "samples" in task else []
    words += ["--labels", str(task["labels"])] if task.get("labels") else []
    words += ["--precision", task["precision"]] if task.get("precision", "fp32") != "fp32" else []
    words += ["--threads", str(task["threads"])] if task.get("threads", 1) != 1 else []
    if "conditions" in said:
        kind = said["conditions"]["kind"]
        words += ["--conditions", kind if kind.startswith(CAPTIONS) else f"{kind}:FILE"]
    return shlex.join([*words, *replicate])


def _input(generator: Generator, name: str, shape: Sequence[int]) -> dict[str, str]:
    drawn = getattr(generator.gan, "prior", None)  # a plugin's GAN need not say what it draws
    prior = PRIORS[str(drawn.kind)] if drawn is not None else "what its GAN draws"
    return {
        "name": name,
        "shape": " x ".join(map(str, shape)) or "a whole number",
        "what": MEANINGS.get("conditions" if name == "labels" and shape else name, "a part of its code").format(
            prior=prior
        ),
    }
