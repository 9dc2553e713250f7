"""Poisons by one line: made, or found in the store, or read from a file that someone published."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.nn.functional import pad
from torch.utils.data import Dataset
from typing_extensions import override

from unlearnable import checks
from unlearnable.data.modality.tokens import tokens_of
from unlearnable.data.module import DataModule
from unlearnable.experiment import load_data
from unlearnable.experiment import load_poison as load_method
from unlearnable.files import write_atomically
from unlearnable.poisons.image.training_set import classes_of, images_of
from unlearnable.sharing.protocols import composed
from unlearnable.stages import Stages, arguments_of
from unlearnable.store import Store

_SUFFIX = ".safetensors"
_CARD = "card"


class PoisonedData(Dataset):
    """A poisoned training set: sample i is (input as models take it, target).

    Attributes:
        data: With the poisoned samples in `data.train` and the clean test set.
        card: What it is: method, arguments, data set, seed, digests of the clean and of the poisoned samples.
    """

    def __init__(self, data: DataModule, card: dict[str, Any]) -> None:
        self.data, self.card = data, card

    def __len__(self) -> int:
        return len(self.data.train)

    @override
    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must lie within the {len(self)} samples; got {index}.")
        inputs, targets = self.data.train[[index % len(self)]]
        made = self.data.modality.to_model(inputs)
        if isinstance(made, Mapping):  # texts, cut to the longest of them: padded again, so that samples make a batch
            length = tokens_of(inputs)["ids"].shape[1]
            made = {name: pad(value, (0, length - value.shape[1])) for name, value in made.items()}
        return _first(made), _first(targets)


def _first(values: Any) -> Any:
    """The first sample of a batch, of several tensors as of one."""
    return {name: value[0] for name, value in values.items()} if isinstance(values, Mapping) else values[0]


def load_poison(
    name: str | Path,
    *,
    dataset: str = "digits",
    data_dir: str | Path | None = None,
    seed: int = 0,
    sha256: str | None = None,
    overrides: Sequence[str] = (),
) -> PoisonedData:
    """A poison by its method's name, or from a file that `save_poison` wrote.

    Args:
        name: A method, such as "em"; or the path, or `https` address, of a `.safetensors` file.
        dataset: The data set's name in `conf/dataset`.
        data_dir: Where its files are, for those that are not embedded.
        seed: Of the method.
        sha256: What the file's SHA-256 must be; addresses need it.
        overrides: Further options as on the command line, such as "poison.radius=0.1" or "dataset.subset=5000".

    Raises:
        ValueError, FileNotFoundError: on bad input; if the file is not the one that was asked for, or was made for other
            clean data.
    """
    from_file = str(name).endswith(_SUFFIX)
    method = "clean" if from_file else str(name)
    config = composed(f"poison={method}", f"dataset={dataset}", f"seed={seed}", "logger=none", *overrides)
    if data_dir is not None:
        OmegaConf.update(config, "dataset.data_dir", str(Path(data_dir).expanduser().absolute()))
    checks.check_values(config)
    content = _content(str(name), sha256) if from_file else b""
    clean = load_data(config)
    if from_file:
        return _from_file(str(name), content, clean)
    store = Store(config.store.dir, reuse=config.store.reuse, max_gb=config.store.max_gb)
    poisoned = clean.poisoned(
        Stages(config, store, checks.check_trainer(config)).poison(load_method(config), clean).samples
    )
    card = {
        "method": method,
        "arguments": arguments_of(config.poison),
        "dataset": dataset,
        "seed": seed,
        "clean": clean.train.fingerprint,
        "poisoned": poisoned.train.fingerprint,
    }
    return PoisonedData(poisoned, card)


def save_poison(poison: PoisonedData, path: str | Path) -> str:
    """Writes poisoned images as one file, with labels and card, and returns its SHA-256, to be published beside it.

    `load_poison` reads it, and so does `poison=folder`, and with it `unlearnable benchmark FILE`.

    Raises:
        ValueError: if the samples are no images, or the path does not end with .safetensors.
        FileExistsError: if the file is there.
    """
    path = Path(path)
    if path.suffix != _SUFFIX:
        raise ValueError(f"`path` must end with {_SUFFIX}; got {path}.")
    if path.exists():
        raise FileExistsError(f"`path` must be new; {path} is there.")
    samples = poison.data.train
    tensors = {"images": images_of(samples).contiguous(), "labels": classes_of(samples)[0].contiguous()}
    content = save(tensors, metadata={_CARD: json.dumps(poison.card, sort_keys=True)})
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _content(name: str, sha256: str | None) -> bytes:
    """The file's bytes, if they are those that were asked for."""
    if "://" in name:
        if not name.startswith("https://") or sha256 is None:
            raise ValueError(f"`name`: an address must begin with https:// and needs `sha256`; got {name}.")
        with urllib.request.urlopen(name) as response:
            content: bytes = response.read()
    else:
        content = Path(name).expanduser().read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise ValueError(f"`sha256`: {name} has {found}, not {sha256}. It is another file, or was changed.")
    return content


def _from_file(name: str, content: bytes, clean: DataModule) -> PoisonedData:
    try:
        images = load(content)["images"]
        card = json.loads(_metadata(content)[_CARD])
        made_for, made = card["clean"], card["poisoned"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{name} is no file of `save_poison`: {error!r}.") from error
    if made_for != clean.train.fingerprint:
        raise ValueError(
            f"{name} was made for other clean data than these: {card.get('dataset')} with another subset, order or size."
        )
    poisoned = clean.poisoned(clean.train.replace(inputs=images))
    if poisoned.train.fingerprint != made:
        raise ValueError(f"{name} does not hold the images that its card tells of.")
    return PoisonedData(poisoned, card)


def _metadata(content: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file: its length in 8 bytes, then JSON."""
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found
