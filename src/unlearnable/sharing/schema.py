"""The record of a benchmark: one JSON file that others can check, compare and publish.

It holds what was measured, run by run, and what follows from it; the latter can be computed again from the former.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from unlearnable.files import write_atomically
from unlearnable.identity import digest_of

#: Of the record's form; a change of the form changes it, and the records of this repository are brought along.
SCHEMA: Final = 2
#: Digests of data are SHA-256, those of keys and protocols their first half.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}([0-9a-f]{32})?$")]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TaskRun(_Part):
    """What one run was for one task.

    Attributes:
        score: The task's metric on the test set after the last epoch; null where it is no number, or there is none.
        sal: SAL, `[epochs][layers]`; null where it is no number.
        loss: Loss on the probe in these epochs; null if it is not known.
    """

    score: float | None
    sal: list[list[float | None]]
    loss: list[float | None] | None = None


class SeedRun(_Part):
    """One trained and measured run.

    Attributes:
        seed: Its seed.
        data: SHA-256 of the samples that were trained on; null if that was not kept: then no run can be shown to be on the
            same samples.
        trajectory: Digest of all that the training depended on.
        tasks: Task → what the run was for it.
    """

    seed: Annotated[int, Field(ge=0)]
    data: Digest | None = None
    trajectory: Digest | None = None
    tasks: Annotated[dict[str, TaskRun], Field(min_length=1)]


class Interval(_Part):
    """A distance between the poisoned and the clean runs.

    Attributes:
        value: Of all poisoned runs to all clean ones.
        low: Lower end of its 95 % interval; null for one seed.
        high: Upper end.
        p_value: For runs of equal mean.
        distinguishable: Whether the data can be told from clean data by it; null where there is no verdict.
        by_seed: Seed → distance of its poisoned run to its clean run.
    """

    value: float | None
    low: float | None
    high: float | None
    p_value: Share | None
    distinguishable: bool | None
    by_seed: dict[int, float | None]


class Counted(_Part):
    """The paper's UD: the mean over seeds of the poisoned run's against the clean run's learnable layers.

    Attributes:
        mean: Over the seeds.
        std: Standard deviation over the seeds; null for one.
        p_value: For equal numbers of learnable layers.
        distinguishable: As in `Interval`.
        by_seed: Seed → UD.
    """

    mean: float | None
    std: float | None
    p_value: Share | None
    distinguishable: bool | None
    by_seed: dict[int, float | None]


class Mean(_Part):
    """Mean and standard deviation over the seeds; null where there are too few."""

    mean: float | None
    std: float | None


class ImageBudget(_Part):
    """What a poison changed of images, the largest over images and seeds.

    Attributes:
        norm: The norm that it is bounded in, as declared by the method, else told from the change.
        radius: The declared bound, else the largest change in that norm.
        linf: On the [0, 1] scale.
        l2: On the [0, 1] scale.
        l0: In pixels.
        changed: Share of the images that changed.
    """

    norm: Literal["linf", "l2", "l0"]
    radius: float
    linf: float
    l2: float
    l0: float
    changed: Share


class WordBudget(_Part):
    """What a poison changed of texts. A word is changed where another stands at its place, or none, or one was added.

    Attributes:
        norm: Words.
        radius: Share of a text's words, the mean over the changed texts and the seeds: what methods declare is no bound of
            short texts, of which they change a word at least.
        largest: The same of the text that was changed most; above 1 where more was added than there was.
        changed: Share of the texts that changed.
    """

    norm: Literal["words"]
    radius: float
    largest: float
    changed: Share


class TaskFigures(_Part):
    """What follows from the runs for one task.

    Attributes:
        metric: What `score` is, such as acc or miou; empty for what has none, such as the sum of all tasks' losses.
        higher_is_better: Its direction.
        prior: What predictions that look at no input reach; null if it is not known.
        layers: Names of the layers that SAL was measured of.
        parameters: How many each has.
        ud: The paper's unlearnable distance; null if it is not defined for these runs.
        distances: Name → distance, as in `result.json`.
        score: The test metric of `runs`.
        clean_score: The same of `clean_runs`.
        skill: Of what the clean runs learn beyond the prior, the share that the runs learn; null where it is undefined.
    """

    metric: Annotated[str, Field(max_length=40)]
    higher_is_better: bool
    prior: float | None
    layers: list[str]
    parameters: list[int]
    ud: Counted | None
    distances: dict[str, Interval]
    score: Mean
    clean_score: Mean
    skill: Mean


class Record(_Part):
    """What one method was found to be by one protocol.

    Attributes:
        schema_version: Of this form.
        method: Its name.
        by: Who measured it.
        link: Where it is from, an `https` address; may be empty.
        made: The day.
        protocol: Name of the protocol.
        protocol_digest: Its digest.
        budget: What was changed.
        epochs: The epochs after which SAL was measured, counted from 1.
        tasks: Task → what follows from the runs for it; data with one task have one, `single`.
        runs: On the poisoned data, one a seed.
        clean_runs: On the clean data, one a seed.
        versions: Package → version.
        hardware: What it ran on, in words.
        digest: Of all the above.
    """

    schema_version: Literal[2] = SCHEMA
    method: Annotated[str, Field(min_length=1, max_length=80)]
    by: Text
    link: Annotated[str, Field(pattern=r"^(https://\S+)?$", max_length=200)] = ""
    made: date
    protocol: Text
    protocol_digest: Digest
    budget: Annotated[ImageBudget | WordBudget, Field(discriminator="norm")]
    epochs: list[int]
    tasks: Annotated[dict[str, TaskFigures], Field(min_length=1)]
    runs: Annotated[list[SeedRun], Field(min_length=1)]
    clean_runs: Annotated[list[SeedRun], Field(min_length=1)]
    versions: dict[str, str]
    hardware: Text
    digest: Digest | Literal[""] = ""

    def signed(self) -> Record:
        """The record with its digest."""
        return self.model_copy(update={"digest": digest_of(self.model_dump(mode="json", exclude={"digest"}))})

    @property
    def seeds(self) -> list[int]:
        """The seeds of its runs, ascending."""
        return sorted(run.seed for run in self.runs)


def check_told(**told: str) -> None:
    """Checks fields of a record that are told, not measured, before there is one.

    Args:
        **told: Field of `Record` → value.

    Raises:
        ValueError: if a value is not as the field asks.
    """
    for name, value in told.items():
        field = Record.model_fields[name]
        try:
            TypeAdapter(Annotated[str, *field.metadata]).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"`{name}` of a record: {error.errors()[0]['msg']}; got {value!r}.") from error


def write_record(path: Path, record: Record) -> None:
    """Writes a record as JSON, a run a line, so that differences between records can be read."""
    import json

    values = record.model_dump(mode="json")
    runs = {name: values.pop(name) for name in ("runs", "clean_runs")}
    head = json.dumps(values, indent=1, ensure_ascii=False)[:-2]
    lines = [f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, many)) + "\n ]" for name, many in runs.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, ",\n".join([head, *lines]) + "\n}\n")


def read_record(path: str | Path) -> Record:
    """Reads a record and checks its form.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no record; the message says in what, place by place.
    """
    try:
        return Record.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()[:5])
        raise ValueError(f"{path} is no record of schema version {SCHEMA}: {wrong}.") from error
