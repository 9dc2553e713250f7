"""Furniture, each piece a list of parts with its back at y = 0: what the rooms of `rooms` are furnished with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unlearnable.data.rooms_parts import Part, Rng, ball, box, pastel, rounded, tint, white, wood

Make = Callable[[Rng], list[Part]]


def _legs(rng: Rng, width: float, depth: float, height: float, name: str, colour: np.ndarray) -> list[Part]:
    t = 0.06
    return [
        box(rng, (x, y, 0), (x + t, y + t, height), name, colour, 0) for x in (0.0, width - t) for y in (0.0, depth - t)
    ]


def _bed(rng: Rng) -> list[Part]:
    w, d, frame, cover = rng.uniform(1.2, 1.8), 2.0, wood(rng), tint(rng, 0.3, 0.9, 0.3)
    return [
        box(rng, (0, 0, 0), (w, 0.08, rng.uniform(0.8, 1.1)), "bed", frame, 1),
        box(rng, (0, 0.08, 0), (w, d, 0.3), "bed", frame, 1),
        box(rng, (0.03, 0.1, 0.3), (w - 0.03, d, 0.52), "bed", cover, int(rng.choice([0, 1, 2, 3]))),
        box(rng, (0.15, 0.12, 0.52), (w / 2 - 0.05, 0.5, 0.64), "bed", white(rng), 0),
        box(rng, (w / 2 + 0.05, 0.12, 0.52), (w - 0.15, 0.5, 0.64), "bed", white(rng), 0),
    ]


def _wardrobe(rng: Rng) -> list[Part]:
    return [box(rng, (0, 0, 0), (rng.uniform(0.9, 1.6), 0.6, rng.uniform(1.8, 2.2)), "cabinet", wood(rng), 1)]


def _nightstand(rng: Rng) -> list[Part]:
    return [box(rng, (0, 0, 0), (0.45, 0.4, 0.5), "cabinet", wood(rng), 1)]


def _couch(rng: Rng) -> list[Part]:
    w, colour, texture = rng.uniform(1.6, 2.3), tint(rng, 0.2, 0.7, 0.25), int(rng.choice([0, 0, 3]))
    return [
        box(rng, (0, 0, 0), (w, 0.25, 0.85), "couch", colour, texture),
        box(rng, (0, 0.25, 0), (w, 0.9, 0.42), "couch", colour, texture),
        box(rng, (0, 0.25, 0.42), (0.2, 0.9, 0.62), "couch", colour, texture),
        box(rng, (w - 0.2, 0.25, 0.42), (w, 0.9, 0.62), "couch", colour, texture),
    ]


def _television(rng: Rng) -> list[Part]:
    w = rng.uniform(0.9, 1.4)
    return [
        box(rng, (0, 0, 0), (w + 0.2, 0.4, 0.5), "cabinet", wood(rng), 1),
        box(rng, (0.1, 0.15, 0.55), (w + 0.1, 0.22, 0.55 + 0.56 * w), "tv", np.full(3, rng.uniform(0.02, 0.12)), 0),
    ]


def _low_table(rng: Rng) -> list[Part]:
    w, d, colour = rng.uniform(0.8, 1.1), rng.uniform(0.5, 0.7), wood(rng)
    top = box(rng, (0, 0, 0.36), (w, d, 0.42), "table", colour, 1)
    return [top, *_legs(rng, w, d, 0.36, "table", colour)]


def _dining_table(rng: Rng) -> list[Part]:
    w, d, colour = rng.uniform(1.2, 1.7), rng.uniform(0.8, 1.0), wood(rng)
    parts = [box(rng, (0.4, 0.4, 0.7), (0.4 + w, 0.4 + d, 0.76), "table", colour, 1)]
    parts += [_moved(leg, 0.4, 0.4) for leg in _legs(rng, w, d, 0.7, "table", colour)]
    seat = tint(rng, 0.2, 0.7, 0.25)
    for x in (0.4 + 0.15, 0.4 + w - 0.6):
        parts += [_about_face(part, x + 0.225, 0.22) for part in _chair_parts(rng, seat)]
        parts += [_moved(part, x, d + 0.55) for part in _chair_parts(rng, seat)]
    return parts


def _chair_parts(rng: Rng, colour: np.ndarray) -> list[Part]:
    """A chair whose back is at large y."""
    return [
        box(rng, (0, 0, 0.42), (0.45, 0.45, 0.48), "chair", colour, 0),
        box(rng, (0, 0.4, 0.48), (0.45, 0.45, 0.95), "chair", colour, 0),
        *_legs(rng, 0.45, 0.45, 0.42, "chair", colour * 0.7),
    ]


def _chair(rng: Rng) -> list[Part]:
    return _chair_parts(rng, tint(rng, 0.2, 0.7, 0.25))


def _desk(rng: Rng) -> list[Part]:
    w, colour = rng.uniform(1.2, 1.6), wood(rng)
    seat = tint(rng, 0.1, 0.4, 0.15)
    return [
        box(rng, (0, 0, 0.7), (w, 0.7, 0.75), "table", colour, 1),
        box(rng, (0, 0.05, 0), (0.4, 0.65, 0.7), "table", colour, 1),
        box(rng, (w - 0.05, 0, 0), (w, 0.7, 0.7), "table", colour, 1),
        box(rng, (w / 2 - 0.1, 0.15, 0.85), (w / 2 + 0.45, 0.2, 1.2), "tv", np.full(3, rng.uniform(0.02, 0.12)), 0),
        box(rng, (w / 2 + 0.1, 0.14, 0.75), (w / 2 + 0.25, 0.21, 0.85), "tv", np.full(3, 0.1), 0),
        *(_moved(part, w / 2 - 0.1, 0.75) for part in _chair_parts(rng, seat)),
    ]


def _bookshelf(rng: Rng) -> list[Part]:
    w, h, colour = rng.uniform(0.8, 1.2), rng.uniform(1.6, 2.1), wood(rng)
    parts = [box(rng, (0, 0, 0), (w, 0.08, h), "shelf", colour, 1)]
    levels = 5
    for level in range(levels):
        z = level * h / levels
        parts.append(box(rng, (0, 0.08, z), (w, 0.32, z + 0.04), "shelf", colour, 1))
        filled = rng.uniform(0.5, 1) * (w - 0.1)
        parts.append(
            box(rng, (0.05, 0.1, z + 0.04), (0.05 + filled, 0.28, z + 0.27), "shelf", tint(rng, 0.2, 0.8, 0.3), 1)
        )
    return parts


def _counter(rng: Rng) -> list[Part]:
    w, front, top = rng.uniform(1.6, 2.2), pastel(rng), tint(rng, 0.2, 0.5, 0.05)
    return [
        box(rng, (0, 0, 0), (w, 0.6, 0.88), "cabinet", front, 1),
        box(rng, (0, 0, 0.88), (w, 0.62, 0.92), "cabinet", top, 3),
        box(rng, (0.25, 0.12, 0.92), (0.8, 0.52, 0.95), "sink", np.full(3, rng.uniform(0.6, 0.8)), 0),
        box(rng, (0.5, 0.06, 0.92), (0.55, 0.11, 1.15), "sink", np.full(3, 0.75), 0),
        box(rng, (0, 0, 1.45), (w, 0.35, 2.05), "cabinet", front, 1),
    ]


def _refrigerator(rng: Rng) -> list[Part]:
    shade = np.full(3, rng.uniform(0.6, 0.95))
    return [
        box(rng, (0, 0, 0), (0.7, 0.68, 1.1), "refrigerator", shade, 0),
        box(rng, (0, 0, 1.13), (0.7, 0.68, rng.uniform(1.65, 1.85)), "refrigerator", shade, 0),
        box(rng, (0.06, 0.68, 0.5), (0.1, 0.72, 1.0), "refrigerator", shade * 0.5, 0),
    ]


def _oven(rng: Rng) -> list[Part]:
    shade = np.full(3, rng.uniform(0.1, 0.85))
    return [
        box(rng, (0, 0, 0), (0.6, 0.6, 0.9), "oven", shade, 0),
        box(rng, (0.06, 0.6, 0.2), (0.54, 0.62, 0.65), "oven", np.full(3, 0.05), 0),
        *(rounded((x, y), 0.09, (0.9, 0.93), "oven", np.full(3, 0.08)) for x in (0.15, 0.45) for y in (0.15, 0.45)),
    ]


def _toilet(rng: Rng) -> list[Part]:
    enamel = white(rng)
    return [
        box(rng, (0, 0, 0.35), (0.42, 0.2, 0.8), "toilet", enamel, 0),
        rounded((0.21, 0.42), 0.22, (0.0, 0.42), "toilet", enamel),
    ]


def _basin(rng: Rng) -> list[Part]:
    enamel = white(rng)
    return [
        rounded((0.3, 0.28), 0.09, (0.0, 0.75), "sink", enamel),
        box(rng, (0, 0, 0.75), (0.6, 0.5, 0.88), "sink", enamel, 0),
        box(rng, (0.0, 0.0, 1.2), (0.6, 0.03, 1.8), "cabinet", np.array([0.75, 0.82, 0.86]), 0),
    ]


def _bathtub(rng: Rng) -> list[Part]:
    w, enamel, t, h = rng.uniform(1.5, 1.8), white(rng), 0.08, 0.55
    walls = [(0, 0, w, t), (0, 0.75 - t, w, 0.75), (0, t, t, 0.75 - t), (w - t, t, w, 0.75 - t)]
    sides = [box(rng, (x0, y0, 0), (x1, y1, h), "bathtub", enamel, 0) for x0, y0, x1, y1 in walls]
    return [*sides, box(rng, (t, t, 0), (w - t, 0.75 - t, 0.2), "bathtub", enamel, 0)]


def _plant(rng: Rng) -> list[Part]:
    green = np.array([0.12, rng.uniform(0.3, 0.55), 0.1])
    pot, leaves = rng.uniform(0.12, 0.2), rng.uniform(0.22, 0.4)
    c = (0.4, 0.4)
    return [
        rounded(c, pot, (0, 0.3), "plant", tint(rng, 0.3, 0.7, 0.2)),
        ball((*c, 0.3 + leaves), leaves, "plant", green),
        ball((0.4 + leaves / 2, 0.4, 0.3 + 1.7 * leaves), leaves * 0.7, "plant", green * rng.uniform(0.8, 1.3)),
    ]


def _crate(rng: Rng) -> list[Part]:
    w, d, h = rng.uniform(0.3, 0.6, 3)
    return [box(rng, (0, 0, 0), (w, d, h), "cabinet", tint(rng, 0.2, 0.8, 0.3), int(rng.integers(4)))]


def _window(rng: Rng) -> list[Part]:
    """A window between two curtains."""
    w, low, high, frame = rng.uniform(0.8, 1.4), rng.uniform(0.6, 0.9), rng.uniform(1.9, 2.25), white(rng)
    pane, t = np.array([0.45, 0.65, 0.95]) * rng.uniform(0.8, 1.05), 0.07
    cloth, c = tint(rng, 0.3, 0.8, 0.3), rng.uniform(0.2, 0.4)
    return [
        box(rng, (c, 0, low), (c + w, 0.05, high), "window", frame, 0),
        box(rng, (c + t, 0.05, low + t), (c + w / 2 - t / 2, 0.052, high - t), "window", pane, 0),
        box(rng, (c + w / 2 + t / 2, 0.05, low + t), (c + w - t, 0.052, high - t), "window", pane, 0),
        box(rng, (0, 0, 0.1), (c, 0.12, high + 0.1), "window", cloth, 0),
        box(rng, (c + w, 0, 0.1), (2 * c + w, 0.12, high + 0.1), "window", cloth, 0),
    ]


#: Type of room → its pieces and whether they stand along a wall.
FURNITURE: dict[str, tuple[tuple[Make, bool], ...]] = {
    "bedroom": ((_bed, True), (_nightstand, True), (_wardrobe, True)),
    "living room": ((_couch, True), (_television, True), (_low_table, False)),
    "dining room": ((_dining_table, False), (_wardrobe, True)),
    "office": ((_desk, True), (_bookshelf, True)),
    "kitchen": ((_counter, True), (_refrigerator, True), (_oven, True)),
    "bathroom": ((_bathtub, True), (_toilet, True), (_basin, True)),
}
#: Pieces that any room may have, whether they stand along a wall, and how often.
ANYWHERE: tuple[tuple[Make, bool, float], ...] = (
    (_window, True, 0.9),
    (_window, True, 0.8),
    (_plant, True, 0.4),
    (_crate, False, 0.4),
    (_wardrobe, True, 0.5),
    (_chair, False, 0.3),
)
#: Type of room → the texture and the colour that its floor mostly has.
FLOORS: dict[str, tuple[int, tuple[float, float, float]]] = {
    "bedroom": (3, (0.62, 0.5, 0.45)),
    "living room": (1, (0.6, 0.42, 0.25)),
    "dining room": (1, (0.4, 0.25, 0.15)),
    "office": (3, (0.4, 0.42, 0.48)),
    "kitchen": (2, (0.72, 0.66, 0.55)),
    "bathroom": (2, (0.6, 0.75, 0.82)),
}


def _moved(part: Part, x: float, y: float) -> Part:
    return replace(part, vertices=part.vertices + np.array([x, y, 0]))


def _about_face(part: Part, x: float, y: float) -> Part:
    """A chair's part, turned by half a circle about the chair's centre, which goes to (x, y)."""
    vertices = (part.vertices - np.array([0.225, 0.225, 0])) * np.array([-1, -1, 1]) + np.array([x, y, 0])
    return replace(part, vertices=vertices)
