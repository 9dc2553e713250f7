"""Random configurations and random files: whatever comes, it is taken or refused by a documented error."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from safetensors.torch import save

from tests._inputs import composed
from unlearnable import checks
from unlearnable.data.decoding import decode, stored_values
from unlearnable.data.hub import read_split
from unlearnable.poisons.imports.array_files import load_array
from unlearnable.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked"), pytest.mark.filterwarnings("ignore")]
MANY = settings(
    max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True
)
SHAPE = (3, 4, 4)
DOCUMENTED = (ValueError, FileNotFoundError)

numbers = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.sampled_from([0, 1, -1, 0.5, math.nan, math.inf, 1e308, "8/255", "1/0", "nan", "1e400", "/", "−1"]),
)
values = st.one_of(
    st.none(), st.booleans(), numbers, st.text(max_size=12), st.lists(numbers, max_size=3), st.just({"a": 1})
)

#: What a value may be given for: what reads it.
READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("eps", "steps", "seed", "target_ud", "stage"), ("", checks.check_values)),
    **{f"trainer.{name}": ("", checks.check_values) for name in ("max_epochs", "keep", "stop_at_nan")},
    **{f"model.optimizer.{name}": ("", checks.check_values) for name in ("lr", "momentum", "weight_decay")},
    **{
        f"{group}.{name}": (group, instantiate)
        for group, names in {
            "sal": ("eps", "steps", "norm", "radius", "samples", "batch_size", "every_n_epochs", "split", "layers"),
            "dataset": ("batch_size", "drop_last", "crop", "flip", "subset", "test_subset"),
            "poison": ("radius",),
        }.items()
        for name in names
    },
    **{
        f"store.{name}": ("store", lambda node: Store(node.dir, reuse=node.reuse, max_gb=node.max_gb))
        for name in ("reuse", "max_gb")
    },
}


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """As users run it: no annotation is checked before the code's own checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def config() -> Any:
    return composed("experiment=smoke", "poison=random", "logger=none", "store.dir=/nowhere")


@MANY
@given(option=st.sampled_from(sorted(READERS)), value=values)
def test_a_random_value_of_an_option_is_taken_or_refused_in_a_sentence(config: Any, option: str, value: Any) -> None:
    changed = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    OmegaConf.update(changed, option, value, force_add=True)
    group, read = READERS[option]
    node = changed[group] if group else changed
    if group == "dataset":
        node = OmegaConf.create(
            {name: one for name, one in node.items() if name not in ("budget", "surrogate", "protocol")}
        )
    if group == "poison":
        node = OmegaConf.create({name: one for name, one in node.items() if name not in ("task", "export")})
    assert_refused_in_a_sentence(lambda: read(node), option.rpartition(".")[2])


def assert_refused_in_a_sentence(call: Callable[[], Any], name: str) -> None:
    """What `call` raises, if anything, is documented and names what was wrong."""
    error: BaseException | None = None
    try:
        call()
    except InstantiationException as wrapped:
        error = wrapped.__cause__
    except DOCUMENTED as plain:
        error = plain
    if error is not None:
        assert isinstance(error, DOCUMENTED), repr(error)
        assert name in str(error)


def whole(kind: str) -> bytes:
    """A file that can be read."""
    stream = io.BytesIO()
    noise = torch.arange(96.0).reshape(2, *SHAPE)
    if kind in (".pt", ".npy"):
        (torch.save if kind == ".pt" else lambda value, file: np.save(file, value.numpy()))(noise, stream)
    elif kind == ".pkl":
        noise.numpy().dump(stream)
    elif kind == ".safetensors":
        stream.write(save({"noise": noise}))
    else:
        picture = io.BytesIO()
        from PIL import Image

        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(picture, "PNG")
        if kind == ".parquet":
            pq.write_table(pa.table({"img": [picture.getvalue()] * 2, "label": [0, 1]}), stream)
        else:
            stream = picture
    return stream.getvalue()


def read(kind: str, path: Path) -> None:
    if kind == ".parquet":
        read_split([path])
    elif kind == ".png":
        decode(path.read_bytes(), path.name)
        stored_values(path.read_bytes(), path.name, codes=True)
    else:
        load_array(path, SHAPE)


KINDS = (".pt", ".npy", ".pkl", ".safetensors", ".parquet", ".png")
WHOLE = {kind: whole(kind) for kind in KINDS}


@MANY
@given(
    kind=st.sampled_from(KINDS),
    as_kind=st.sampled_from(KINDS),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    keep=st.floats(0, 1),
    noise=st.one_of(st.none(), st.binary(max_size=64)),
)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(
    kind: str, as_kind: str, edits: list[tuple[float, int]], keep: float, noise: bytes | None
) -> None:
    data = bytearray(WHOLE[kind] if noise is None else noise)
    for place, byte in edits if data else ():
        data[int(place * len(data))] = byte
    if keep < 0.3:
        data = data[: int(len(data) * keep / 0.3)]
    chosen = as_kind if keep > 0.9 else kind  # a file of one kind under another's name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{chosen}"
        path.write_bytes(bytes(data))
        assert_refused_in_a_sentence(lambda: read(chosen, path), "file")


def test_the_whole_files_can_be_read(tmp_path: Path) -> None:
    for kind, data in WHOLE.items():
        path = tmp_path / f"file{kind}"
        path.write_bytes(data)
        read(kind, path)
