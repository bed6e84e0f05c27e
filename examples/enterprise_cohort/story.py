"""The story of the demo: train, replay, watch, tell."""

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import models
import sklearn
from live import LiveView, PlainView, View
from models import Person
from options import Options
from replay import Replay
from report import FLAG, Run, last_line, tell_flip, tell_hold
from tracing import traced

from flipback import Router


HERE = Path(__file__).parent
FOLDER = Path(os.path.relpath(HERE.parents[1] / ".demo"))
ASKED = 1_000
MORE_CALLS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The models, and the people who will meet them."""

    control: models.Model
    candidate: models.Model
    people: Iterator[Person]
    asked: Sequence[Person]
    most_calls: int


def tell(options: Options) -> int:
    """Run the demo and return its exit code."""
    # It would say that there is no ledger yet, which here is on purpose.
    logging.getLogger("flipback").setLevel(logging.ERROR)
    folder = fresh(FOLDER)
    scene = prepare(options)
    introduce(scene, options)
    with (
        traced(folder / "trace.jsonl", folder / "events.jsonl"),
        Router.from_config(folder / "flipback.toml") as router,
    ):
        run = watch(scene, options, router, folder)
        flipped = run.look.kill is not None
        if flipped:
            more = list(islice(scene.people, MORE_CALLS))
            tell_flip(run, asked=scene.asked, more=more)
        else:
            tell_hold(run, asked=scene.asked)
    print(last_line(run))
    return 0 if flipped is not options.good else 1


def fresh(folder: Path) -> Path:
    """Return the folder with a copy of the plan and nothing else in it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "plan", folder)
    # The secret keys the hash that puts people into buckets, whose scatter is part
    # of the evidence. An application keeps it secret; here runs have to repeat.
    os.environ["FLIPBACK_SECRET"] = "known"  # noqa: S105 - it guards nothing here
    return folder


def prepare(options: Options) -> Scene:
    """Load the people and train the models."""
    # Checks of every single row that the extract has passed long ago.
    sklearn.set_config(  # pyright: ignore[reportUnknownMemberType] - has no types
        assume_finite=True, skip_parameter_validation=True
    )
    census = models.load_census()
    parts = models.split(census)
    trained = models.train(census, parts)
    asked = islice(models.traffic(census, parts, options.seed), ASKED)
    people = len(parts.traffic)
    return Scene(
        control=trained.control,
        candidate=trained.unbiased if options.good else trained.biased,
        people=models.traffic(census, parts, options.seed),
        asked=list(asked),
        most_calls=min(options.calls or people, people),
    )


def introduce(scene: Scene, options: Options) -> None:
    """Say what is about to happen."""
    export = "the whole export" if options.good else "a biased export"
    for name, model, what in (
        ("control", scene.control, "75 % of people, in production"),
        ("candidate", scene.candidate, f"25 % of people, trained on {export}"),
    ):
        print(f"{name:10} {model.name} {model.version}: {what}")
    print(
        f"{'traffic':10} up to {scene.most_calls:,} census rows, one call each, "
        f"seed {options.seed}, routed by flag {FLAG}\n",
        flush=True,
    )


def watch(scene: Scene, options: Options, router: Router, folder: Path) -> Run:
    """Replay until the flag flips back or the people run out, and show it."""
    replay = Replay(router, scene.control, scene.candidate)
    live = not options.plain
    view: View = (
        LiveView(replay, most_calls=scene.most_calls) if live else PlainView(replay)
    )
    with view:
        look = replay.run(islice(scene.people, scene.most_calls), view.show)
        view.show(look, last=True)
    return Run(replay=replay, look=look, folder=folder)
