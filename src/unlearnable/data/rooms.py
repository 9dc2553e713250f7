"""The embedded multi-task data set: ray-cast rooms, in Taskonomy's layout, made once and kept in the store."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from unlearnable.data import rooms_render
from unlearnable.data.rooms_scene import SCENES
from unlearnable.data.samples import Samples
from unlearnable.data.taskonomy import Taskonomy
from unlearnable.files import write_atomically
from unlearnable.identity import code_of
from unlearnable.options import Number, whole
from unlearnable.store import Store

log = logging.getLogger(__name__)

_SPLIT = "train_val_test_rooms.csv"


class Rooms(Taskonomy):
    """Random furnished rooms of six types, ray-cast, from cameras at many places: nothing to download.

    Domains: `class_scene`, `segment_semantic` (codes of `rooms_parts.CLASSES`), `depth_euclidean`, `normal`,
    `keypoints2d`, `edge_occlusion`, `reshading`. Each room is a building of its own with `views` views, and the split is by room.

    Args:
        store_dir: The store that the frames are kept in.
        frames: Number of views altogether.
        views: Views of each room.
        frame_size: Side of a frame in pixels.
        generation_seed: Of the rooms; the run's seed does not change them.
        test_share: Share of the rooms for the test.
        **options: See `Taskonomy`; `data_dir` and `split` are set.
    """

    class_names = SCENES

    def __init__(
        self,
        store_dir: str | Path,
        *,
        frames: Number = 3000,
        views: Number = 3,
        frame_size: Number = 64,
        generation_seed: Number = 0,
        test_share: Number = 0.2,
        tasks: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__("", tasks=tasks, split=_SPLIT, test_share=test_share, **options)
        frames, views = whole("dataset.frames", frames, at_least=1), whole("dataset.views", views, at_least=1)
        rooms = frames // views
        if rooms < 2 * len(SCENES):
            raise ValueError(
                f"`dataset.frames` must make at least {2 * len(SCENES)} rooms, two of each type, of `dataset.views` "
                f"views each; got {frames} frames, {views} views."
            )
        self.store_dir = Path(store_dir).expanduser()
        self.rooms, self.views = rooms, views
        self.frame_size = whole("dataset.frame_size", frame_size, at_least=16, what="a side in pixels")
        self.generation_seed = whole("dataset.generation_seed", generation_seed, at_least=0)

    @override
    def load(self) -> tuple[Samples, Samples]:
        key = {
            "rooms": self.rooms,
            "views": self.views,
            "size": self.frame_size,
            "seed": self.generation_seed,
            "test_share": self.test_share,
            "code": code_of(__name__),
        }
        self.data_dir = Store(self.store_dir).obtain("rooms", key, self._generate).path
        self.split = str(self.data_dir / _SPLIT)
        return super().load()

    def _generate(self, folder: Path) -> None:
        absent = [name for name in ("trimesh", "embreex", "scipy") if importlib.util.find_spec(name) is None]
        if absent:
            raise ImportError(f"dataset=rooms needs {', '.join(absent)} to render: pip install unlearnable[multitask].")
        log.info("rooms: rendering %d views of %d rooms, once", self.rooms * self.views, self.rooms)
        for number in range(self.rooms):
            rooms_render.write_room(folder, number, self.views, self.frame_size, self.generation_seed)
        # Rounds of one room of each type go to one side as a whole, so that both sides have the types equally often.
        rounds = -(-self.rooms // len(SCENES))
        count = min(rounds - 1, max(1, round(self.test_share * rounds)))
        test = {min(int((place + 0.5) / self.test_share), rounds - 1) for place in range(count)}
        lines = ["id,train,val,test"]
        for number in range(self.rooms):
            is_test = number // len(SCENES) in test
            lines.append(f"room_{number:05d},{int(not is_test)},0,{int(is_test)}")
        write_atomically(folder / _SPLIT, "\n".join(lines) + "\n")
