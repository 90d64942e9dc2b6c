"""How a run is carried out, in one order: it is searched, its finalists are named, and retrained beside others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evogan.engine.broker import Event
from evogan.engine.confirm import confirm
from evogan.engine.history import RunHistory
from evogan.engine.loop import Loop
from evogan.genome import Genome


def carry_out(
    loop: Loop,
    finalists: int,
    replicates: int,
    references: Sequence[Genome] = (),
    twin: Callable[[Genome], Genome | None] = lambda genome: None,
) -> RunHistory:
    """Search until it ends; then train the best `finalists` genomes and the references anew, and the twin of each.

    `replicates`: fresh trainings of each. `twin`: what a genome is to be compared with, if there is any. What trainings
    left to go on from is dropped: nothing will. A run that was stopped anywhere goes on here. Errors: Interrupted if
    the run was asked to stop.
    """
    broker = loop.broker
    with broker.stopped_together():
        why = loop.go()
        run = RunHistory(broker.store, loop.run)
        best = run.leaders(finalists, loop.strategy.estimate)
        broker.store.set_finalists(run.name, (told.row.key for told in best))
        genomes = [told.row.genome for told in best] + list(references)
        twins = {loop.space.key(other): other for genome in genomes if (other := twin(genome)) is not None}
        known = {loop.space.key(genome) for genome in genomes}
        genomes += [genome for key, genome in twins.items() if key not in known]
        broker.listener(Event("checking", None, value=len(genomes) * replicates, reason=why))
        confirm(broker, loop.space, loop.task, genomes, replicates)
    for told in run.history:
        if told.row.fidelity < 1:
            for replicate, evaluation in enumerate(told.evaluations):
                broker.store.drop_state(told.identity(replicate), evaluation)
    return run
