"""What a script calls: search, resume, open_run, train, evaluate, describe, load, load_critic, exports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from evogan.caller import undisturbed
from evogan.engine import Broker, Event, Judge, Listener, LocalExecutor, Store
from evogan.errors import NothingCompleted, UserError, unknown
from evogan.families import family_of, image_fields, sequence_fields
from evogan.files import expand, file_name, write_whole
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.options import LARGEST_SEED, expect, read_as, read_option
from evogan.plugins import Plugins, without
from evogan.report import facts
from evogan.runs.checks import OF_IMAGES, Subject, check_images, check_metrics
from evogan.runs.code_map import keep_code_map
from evogan.runs.gans import GANProblem, Tell, lines
from evogan.runs.launch import Outside, launch
from evogan.runs.objective import Objective, ObjectiveProblem, check_objective
from evogan.runs.place import IN_MEMORY, Place
from evogan.runs.plan import Plan, settle
from evogan.runs.run import Run
from evogan.settings import GANSettings, Output, Resources, SearchSettings
from evogan.settings.doors import EVALUATE, OF_DATA, RESUME, SEARCH, TRAIN, picked
from evogan.settings.gan import AUTO
from evogan.settings.signature import takes
from evogan.space import Change, Space, altered, load_space
from evogan.stable import derive_seed
from evogan.trial import IMAGE_SIZES, Choice, Evaluation, GANTask, Trial

if TYPE_CHECKING:
    from torch import Tensor

    from evogan.evaluation.architecture import Player
    from evogan.evaluation.checkpoint import Generator
    from evogan.evaluation.critic import Critic
    from evogan.export.card import Known

SIZE, CHANNELS, CLASSES = 32, 3, 10  # of the images that a GAN is described for
MOST_CLASSES = 1000
COMPARED = 16  # images that exported code makes of trained weights, as evogan does
Data = str | Path | Any  # what holds images, too: arrays, torch Datasets
LAST_REPLICATE = 1_000_000
OF_AN_OBJECTIVE = {"fitness": "value", "confirm": 0}  # where nothing else is asked for
WATCHED = ("log_level", "tensorboard", "mlflow", "watch")


@takes(SEARCH)
def search(
    space: str | Path | Space = "wdcgan_wide",
    data: Data = GANSettings.data,
    *,
    change: Change | None = None,
    objective: Objective | None = None,
    task: str | None = None,
    resources: Resources | None = None,
    listener: Listener | None = None,
    **asked: Any,
) -> Run:
    """Search `space` for the GAN that fits `data` best, or for the best value of your own `objective`.

    space: a shipped space, a TOML file, or a `Space`. change: genes of it that are to be others: {"filters": 32} is
    fixed, {"filters": (16, 32)} has these bounds, {"loss": ["hinge", "least_squares"]} these values. data: a name, a
    folder or a file; or an array of images, a pair of images and labels, or a torch Dataset, which is filed with the
    runs. objective: genome as a dict -> a number to minimise, or a mapping of metrics; with a parameter `fidelity` it
    can be asked for less than its full effort, with `changes` for genes that are others from shares of it on. Its runs
    are kept only where `runs` is named, and `task` says what is measured: results are remembered under that name, so
    give another one when the objective changes. Its fitness is `value` if not said, and winners are not checked.
    resources: several of the options below at once. listener: hears what happens.
    The outcome depends on (seed, window), never on `workers`, but with a budget in `seconds`. A run that exists under
    `name` goes on.
    Errors: UserError for whatever does not exist or does not fit.
    """
    plugins = _plugins(asked).check()
    own = objective is not None
    if own:
        check_objective(objective)
    expect("space", space, (str, Path, Space), "a name, a file or a Space")
    expect("change", change, (Mapping, NoneType), "genes and what they are to be")
    expect("resources", resources, (Resources, NoneType), "Resources")
    if own and data is not GANSettings.data:
        raise UserError("data are of GANs: an objective trains none")
    data = read_as(GANSettings, "data", _filed(data, asked))
    task = read_option("task", task, str | None)
    name = read_as(Output, "name", asked.get("name"))
    expect("seed_genomes", asked.get("seed_genomes", ()), (str, Sequence), "names or genes")
    table = None if own else GENES
    resources = replace(resources or Resources(), **_said(picked(Resources, asked)))
    if not isinstance(space, Space):
        space = load_space(space, table)
    elif space.table is not table:
        space = Space.from_document(space.document(), table)
    space = altered(space, change or {})
    runs, store, gan = asked.get("runs"), asked.get("store"), picked(GANSettings, asked)
    if own and gan:
        raise unknown("keyword", next(iter(gan)), ("those of search(): an objective trains no GAN",))
    if own and runs and not task:
        raise UserError("an objective whose results are kept needs a name: task='what is measured, version 1'")
    if own and store and not runs:
        raise UserError("store: an objective's results are kept only with a folder `runs` for files, too")
    place = IN_MEMORY if own and not runs else Place.of(runs, store)
    search = picked(SearchSettings, asked)
    for option, value in OF_AN_OBJECTIVE.items():
        if search.get(option) is None:
            search.pop(option, None)
            search |= {option: value} if own else {}
    problem: GANProblem | ObjectiveProblem
    if objective is not None:
        problem = ObjectiveProblem(objective, f"{task or 'objective'} on {space.name}")
    else:
        problem = GANProblem(GANSettings.of(data=data, **gan), place.features, _teller(listener))
    with nullcontext() if own else undisturbed():
        plan = settle(space, problem, place, resources, search, plugins)
        if name is None:
            what = task or "objective" if own else expand(data).resolve().stem
            name = file_name(f"{what}-{plan.space.name}-{plan.settings.strategy}-s{plan.settings.seed}")
        if place.knows(name):
            plan = plan.going_on(place.existing().run(name))
        store = launch(place, name, plan, _outside(listener, asked))
    return _told_of(store, name)


@takes(RESUME)
def resume(
    name: str, *, resources: Mapping[str, Any] | None = None, listener: Listener | None = None, **asked: Any
) -> Run:
    """Go on with a run exactly where it stopped, if wanted with another budget or other `resources`: those
    parts of `Resources` that are to change.

    Errors: UserError if there is no such run, if it had an objective of the user's own, or if its data
    changed.
    """
    place = Place.of(asked.get("runs"), asked.get("store"))
    run = Run(place.existing(), name)
    settings, gan = run.settings, run.settings.gan
    if run.facts.table:
        raise UserError(f"run '{name}' is a replay of table '{run.facts.table}': evogan bench run goes on with it")
    if gan is None:
        raise UserError(f"run '{name}' has an objective of its own: call search() with it again")
    for part in resources or {}:
        if part not in vars(settings.resources):
            raise unknown("resource", part, vars(settings.resources))
    named = _plugins(asked).names
    plugins = Plugins([*without(run.facts.plugins, named), *named]).check()
    changed = dict(resources or {}) | _said(picked(Resources, asked))
    settings = replace(settings, resources=replace(settings.resources, **changed))
    settings = replace(settings, **_said(picked(SearchSettings, asked)))
    problem = GANProblem(gan, place.features, _teller(listener))
    plan = Plan(settings, Space.from_document(settings.space, GENES), problem, plugins)
    with undisturbed():
        store = launch(place, name, plan, _outside(listener, asked))
    return _told_of(store, name)


def open_run(
    name: str, runs: str | Path | None = None, store: str | None = None, *, plugins: Sequence[str] = ()
) -> Run:
    """A run as the store has it; nothing is trained. plugins: those that its genomes need to be sampled."""
    _plugins({"plugins": plugins})
    return Run(Place.of(runs, store).existing(), name)


@takes(TRAIN)
@undisturbed()
def train(
    genome: str | Path | Mapping[str, Value] | None = None,
    data: Data | None = None,
    *,
    origin: str | Path | None = None,
    change: Mapping[str, Value] | None = None,
    replicate: int = 0,
    every: float | None = None,
    page: bool | str = False,
    say: Callable[[str], None] = lambda line: None,
    listener: Listener | None = None,
    **asked: Any,
) -> tuple[Evaluation, Path]:
    """Train one genome, or find it trained: its evaluation, and the folder of its generator and samples.

    genome: a published one's name, a TOML file, the name of a run (its best), or genes. data: as for `search`; if they
    are not said those of the run, judged as there, and else digits. origin: in place of a genome the
    players.safetensors or generator.safetensors of a training, its folder, or the name of a run (its best): a training
    of its own begins with these networks, on the same data or on others. change: genes to change; of an origin only
    what its networks do not depend on. page: write `train.html` into the folder, and while it trains `live.png` there,
    samples of now; a text is what the page calls the GAN. every: thousands of real images from one such grid to the
    next, 0 for none; without a page there are some only if it is said. Neither changes the training. `say` gets lines
    about the data, what judges and the grid, `listener` hears how far it is. Errors: UserError.
    """
    from evogan.evaluation.look import Look
    from evogan.evaluation.players import read_players
    from evogan.export.found import genome_of, origin_of, settings_of
    from evogan.families.build import check

    _plugins(asked).check()
    expect("genome", genome, (str, Path, Mapping, NoneType), "a name, a file or genes")
    expect("origin", origin, (str, Path, NoneType), "a file, a folder or a run")
    expect("page", page, (bool, str), "True, False or a name")
    if (genome is None) == (origin is None):
        raise UserError("a genome, or a training to go on from: name one of the two")
    place, change = Place.of(asked.get("runs"), asked.get("store")), change or {}
    players = read_players(origin_of(origin, place)) if origin is not None else None
    if players is not None:
        read, named = players.changed(change), f"going on from {origin}"
    elif isinstance(genome, Mapping):
        read, named = _changed(genome, change), "a GAN"
    elif genome is not None:
        before = genome_of(genome, place)[0]
        read, named = _changed(before, change), Path(genome).stem
        named += ", changed" if dict(read) != dict(before) else ""
    name = page if isinstance(page, str) else named
    replicate = read_option("replicate", replicate, int, low=0, high=LAST_REPLICATE)
    every = read_option("every", every, float | None, low=0)
    tell = _teller(listener) if listener else lines(say)
    named_run = genome if players is None else origin
    run = settings_of(named_run, place) if data is None else None
    problem = GANProblem(_judging(data, asked, run), place.features, tell)
    if run is not None and not any(asked.get(name) for name in OF_IMAGES):
        check_images(place.existing(), str(named_run), problem)
    if players is not None:
        players.check_served(problem.dataset)
    family_of(read).check_served(problem.kinds, problem.dataset.name)
    family_of(read).check_used(problem.kinds)
    check(read, problem.fields)
    task, evaluate = problem.prepare()
    choice = _choice(asked, run, read, problem)
    if run is not None or asked.get("fitness"):
        check_metrics(choice.metrics, lambda: [Subject("this genome", read)])
        evaluate.check_measured(choice.metrics)
    if players is not None:
        task = replace(task, origin=players.digest)
        say(players.describe(problem.dataset))
    for line in problem.lines:
        say(line)
    kept = place.open()
    kept.database.on_wait = lambda reason: say(f"waiting: {reason}")
    trial = Trial(read, GENES.key(read), task, 1.0, replicate, choice=choice, whole=True)
    live = kept.files(trial.identity) / "live.png"

    def watched(trial: Trial) -> Evaluation:
        if not (bool(page) if every is None else every > 0):
            return evaluate(trial, origin=players)
        say(f"samples of now: {live}")
        return evaluate(trial, Look(partial(write_whole, live), every), players)

    broker = Broker(kept, LocalExecutor(watched), listener or (lambda event: None), choice=trial.choice)
    try:
        evaluation = broker.result(trial)
    finally:
        kept.leases.close()
    folder = kept.files(trial.identity, evaluation)
    if page:
        _write_page(name, trial, evaluation, folder, problem, evaluate.real_grid())
    return evaluation, folder


def _changed(genome: Mapping[str, Value], change: Mapping[str, Value]) -> Genome:
    """With these genes from the beginning, without those that then do not apply; a schedule's later changes stay."""
    changes = genome.changes if isinstance(genome, Genome) else ()
    return GENES.schedule(GENES.changed(genome, change), changes)


def _write_page(
    name: str, trial: Trial, evaluation: Evaluation, folder: Path, problem: GANProblem, real: bytes
) -> None:
    from evogan.evaluation.architecture import architecture
    from evogan.report import write_training
    from evogan.report.training import Training

    assert isinstance(trial.task, GANTask)
    if (folder / "generator.safetensors").is_file():
        keep_code_map(folder, load(folder / "generator.safetensors"), problem.dataset)
    training = Training(
        name,
        trial.genome,
        trial.task,
        trial.replicate,
        problem.contents,
        evaluation,
        folder,
        real,
        architecture(trial.genome, problem.fields),
    )
    write_training(training)


@takes(EVALUATE)
@undisturbed()
def evaluate(
    generator: str | Path,
    data: str | Path | None = None,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    tell: Tell | None = None,
    **asked: Any,
) -> dict[str, float]:
    """Score a trained generator against the images of a data set, by every measure. `say` and `tell` as of `train`.

    generator: as of `load`. data: as of `train`. A conditional one is asked for its classes as often as they are in the
    data, and judged by them, as in a search; in turn where they are others. Codes are judged by all held-out images.
    Errors: UserError.
    """
    import torch

    from evogan.evaluation.scoring import asked_for
    from evogan.export.found import settings_of
    from evogan.fitness.load import scorer_of

    _plugins(asked)
    place = Place.of(asked.get("runs"), asked.get("store"))
    run = settings_of(generator, place) if data is None else None
    problem = GANProblem(_judging(data, asked, run), place.features, tell or lines(say))
    if run is not None and not any(asked.get(name) for name in OF_IMAGES):
        check_images(place.existing(), str(generator), problem)
    seed = read_option("seed", seed, int, low=0, high=LARGEST_SEED)
    found = load(generator, runs=place.folder, store=place.url)
    dataset, samples = problem.dataset, problem.gan.samples
    found.check_served(dataset)
    say(problem.contents)
    say(problem.judged_by)
    scorer = scorer_of(dataset, problem.features, samples)
    known = dataset.class_names if dataset.conditions is None else dataset.conditions.names
    told = bool(found.classes) and found.classes == known
    labels = asked_for(dataset, samples, derive_seed(seed, "asked for")) if told else None
    made = found.rows(samples, seed) if labels is None else found.rows_of(labels, seed)
    images = (torch.from_numpy(dataset.plane.inside(made.numpy())) if dataset.plane else made).split(500)
    if labels is not None:
        return scorer.score(zip(images, labels.split(500), strict=True)) | found.judge_codes(dataset, seed)
    return scorer.score(images) | found.judge_codes(dataset, seed) | found.judge_written(dataset)


@undisturbed()
def describe(
    genome: str | Path | Mapping[str, Value],
    *,
    image_size: int | None = None,
    channels: int | None = None,
    classes: int | None = None,
    change: Mapping[str, Value] | None = None,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> tuple[Genome, list[Player]]:
    """A GAN's networks, layer by layer, untrained: its genes, and each player.

    genome: a published one's name, a TOML file, a generator's .safetensors, the name of a run (its best), or genes.
    image_size, channels, classes: of images that it is made for; else as in the file, or 32x32 in colour, of 10
    classes. change: genes to change. Errors: UserError.
    """
    from evogan.evaluation.architecture import architecture
    from evogan.export.found import genome_of

    _plugins({"plugins": plugins})
    expect("genome", genome, (str, Path, Mapping), "a name, a file or genes")
    known: dict[str, Any] = {}
    if isinstance(genome, Mapping):
        genes = genome
    elif str(genome).endswith(".safetensors"):
        found = load(genome)
        genes, known = found.genome, {**found.facts, "classes": found.told}
        if found.language:
            return (read := GENES.changed(genes, change or {})), architecture(read, found.fields)
    else:
        genes, known = genome_of(genome, Place.of(runs, store))
    given = {"image_size": image_size, "channels": channels, "classes": classes}
    form = _form({"image_size": SIZE, "channels": CHANNELS, "classes": CLASSES} | known | _said(given), least_classes=0)
    read = GENES.changed(genes, change or {})
    return read, architecture(read, sequence_fields() if _writes(read) else image_fields(*form.values()))


def _form(known: Mapping[str, Any], least_classes: int) -> dict[str, int]:
    """Of images: side, channels and classes, within their bounds. Errors: UserError."""
    bounds = {"image_size": (1, IMAGE_SIZES[1]), "channels": (1, 3), "classes": (least_classes, MOST_CLASSES)}
    form = {name: read_option(name, known[name], int, low=low, high=high) for name, (low, high) in bounds.items()}
    if form["channels"] == 2 and form["image_size"] > 1:  # of points alone
        raise UserError("channels must be 3, or 1 of grey images, not 2")
    return form


def _writes(genome: Mapping[str, Value]) -> bool:
    """Whether it makes sequences."""
    return "sequences" in family_of(genome).needs


@dataclass(frozen=True)
class Code:
    """A GAN as one file of PyTorch: its `text`, a `name` for it, and of a trained one the `weights` that the file's
    `Generator` loads."""

    name: str
    text: str
    weights: Mapping[str, Tensor] | None = None


@undisturbed()
def export_code(
    gan: str | Path,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    classes: int | None = None,
    change: Mapping[str, Value] | None = None,
    seed: int | None = None,
    weights: bool = True,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> Code:
    """A GAN as one readable file that trains it without evogan, with the losses that evogan has on the same images.

    gan: a published genome's name, a TOML file, a .safetensors of a training, or the name of a run (its best).
    image_size, channels, classes: of the images that it is to make; else as it was trained, or 32x32 in colour, of 10
    classes. seed: of a training by evogan, else that of the GAN's own. weights: of a trained GAN these, too, unless
    something of it is changed. Errors: UserError, for a GAN that no code is written for, and for weights of which the
    code makes other images.
    """
    from evogan.export.code import Wanted, write_code
    from evogan.export.code.weights import weights as matched
    from evogan.export.found import find

    _plugins({"plugins": plugins})
    expect("gan", gan, (str, Path), "a name or a file")
    found = find(gan, Place.of(runs, store))
    given = {"image_size": image_size, "channels": channels, "classes": classes}
    form = _form(vars(found) | _said(given), least_classes=1)
    seed = read_option("seed", found.seed if seed is None else seed, int, low=0, high=LARGEST_SEED)
    wanted = Wanted(
        genome=_changed(found.genome, change or {}),
        seed=seed,
        kimg=found.kimg,
        name=found.name,
        title=found.title,
        source=found.source,
        command=f"evogan export code {gan}",
        **form,
    )
    text = write_code(wanted)
    same = wanted.genome == found.genome and all(getattr(found, name) == value for name, value in form.items())
    if found.file is None or not same or not weights:
        return Code(found.name, text)
    trained = load(found.file)
    return Code(found.name, text, matched(wanted, trained.gan, trained.prompt(COMPARED)))


@undisturbed()
def export_onnx(
    generator: str | Path,
    to: str | Path,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> dict[str, tuple[int, ...]]:
    """Write a trained generator as an ONNX file, and a model card beside it: its inputs, the shape of a row of each.

    generator: as of `load`. Errors: UserError, for a network whose images onnxruntime does not make, too.
    """
    from evogan.export.card import card
    from evogan.export.to_onnx import check_installed, export_onnx

    check_installed()
    found, known = _trained(generator, Place.of(runs, store), plugins)
    path = expand(to)
    if path.suffix != ".onnx":
        raise UserError(f"'{path}' must end with .onnx: the card beside it ends with .md")
    inputs = export_onnx(found, path)
    write_whole(path.with_suffix(".md"), card(path.stem, found, known, inputs).encode())
    return inputs


def model_card(
    generator: str | Path,
    name: str = "GAN",
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> str:
    """What is known of a trained generator, as a Markdown page: data, genome, budget, FID and its spread, failures.

    generator: as of `load`. runs, store: what knows its trainings. Errors: UserError.
    """
    from evogan.export.card import card

    return card(name, *_trained(generator, Place.of(runs, store), plugins))


def _trained(generator: str | Path, place: Place, plugins: Sequence[str]) -> tuple[Generator, Known]:
    from evogan.export.card import known_of

    found = load(generator, runs=place.folder, store=place.url, plugins=plugins)
    return found, known_of(found, place.existing() if place.has_store else None)


def load(
    generator: str | Path,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> Generator:
    """A trained generator, ready to `.sample(n)`.

    generator: a .safetensors file, the folder of a training, the name of a run (its best), or of one that comes with
    evogan. runs, store: where runs are, as of `search`. Errors: UserError.
    """
    from evogan.evaluation.checkpoint import Generator
    from evogan.export.found import generator_of

    expect("generator", generator, (str, Path), "a file, a folder or a run")
    _plugins({"plugins": plugins})
    return Generator(generator_of(generator, Place.of(runs, store)))


def load_critic(
    players: str | Path,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    plugins: Sequence[str] = (),
) -> Critic:
    """A trained critic, ready to `.score(images)`.

    players: a players.safetensors, the folder of a training, or the name of a run: the best of its checked winner's.
    runs, store: where runs are, as of `search`. Errors: UserError.
    """
    from evogan.evaluation.critic import Critic
    from evogan.export.found import origin_of

    _plugins({"plugins": plugins})
    expect("players", players, (str, Path), "a file, a folder or a run")
    return Critic(origin_of(players, Place.of(runs, store)))


def _told_of(store: Store, name: str) -> Run:
    """A run that has ended; a warning if nothing in it completed."""
    run = Run(store, name)
    if run.history and not run.ranking:
        more = " How it came to that: `run.traceback`." if run.traceback else ""
        warnings.warn(f"run '{name}': {facts.verdict(run)}{more}", NothingCompleted, stacklevel=4)
    return run


def _said(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}


def _plugins(asked: Mapping[str, Any]) -> Plugins:
    named = asked.get("plugins", ())
    expect("plugins", named, (list, tuple), "a list of modules and .py files")
    return Plugins([read_option("plugins", name, str) for name in named])


def _judging(data: Data | None, asked: Mapping[str, Any], run: SearchSettings | None) -> GANSettings:
    """What is asked for; where no data are, on those of the run and judged as there."""
    said = {name: value for name, value in picked(GANSettings, asked).items() if value is not None}
    if data is not None:
        return GANSettings.of(**said | {"data": _filed(data, asked)})
    known = {} if run is None else {name: getattr(run.gan, name) for name in OF_DATA if name not in said}
    return replace(GANSettings.of(**said), **known)


def _choice(asked: Mapping[str, Any], run: SearchSettings | None, genome: Genome, problem: GANProblem) -> Choice:
    """By what a checkpoint is chosen: as is said, or as in the run; else by FID, or of sequences by what suits them."""
    fitness, score = asked.get("fitness") or (run and run.fitness), asked.get("score") or (run and run.score)
    if fitness == AUTO:
        fitness = problem.natural or family_of(genome).measures[0]
    own = problem.natural if problem.dataset.language and problem.natural else Choice().metrics[0]
    return Judge.of(fitness or own, score or Choice().score).choice


def _filed(data: Data, asked: Mapping[str, Any]) -> str | Path:
    if isinstance(data, str | Path):
        return data
    from evogan.data.given import filed

    folder = Place.of(asked.get("runs"), asked.get("store")).folder
    assert folder is not None
    return filed(data, folder)


def _teller(listener: Listener | None) -> Tell:
    return lambda line, done: None if listener is None else listener(Event("preparing", None, reason=line, value=done))


def _outside(listener: Listener | None, asked: Mapping[str, Any]) -> Outside:
    return Outside(listener, **{name: asked[name] for name in WATCHED if name in asked})
