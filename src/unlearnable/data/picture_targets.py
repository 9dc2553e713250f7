"""Taskonomy's domains that are computed from the picture alone, and need no annotation.

Each is an array as the domain's own files hold it (`taskonomy_domains` reads it), by the definition that Taskonomy
gives for it (Zamir et al., CVPR 2018): key points by SURF, texture edges by Canny's gradient without thinning; and
groups of pixels from their colours, here by Felzenszwalb and Huttenlocher's graph instead of normalised cuts, whose
number of segments has to be chosen beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, UInt8, UInt16
from scipy.ndimage import gaussian_filter
from torch import Tensor
from tqdm import tqdm

from unlearnable.files import whole_file

_LUMINANCE = (0.299, 0.587, 0.114)
_KEYPOINT_SCALE = 1.2  # SURF's finest, in pixels
_EDGE_SCALE = 1.0
# With these a 32×32 photograph has 4 to 14 segments (90 % of CIFAR-10's).
_SEGMENT_SCALE, _SEGMENT_BLUR, _SEGMENT_SHARE = 200, 0.5, 1 / 64
_ROWS = 512  # pictures a file


def keypoints2d(pictures: UInt8[np.ndarray, "n c h w"]) -> UInt16[np.ndarray, "n h w"]:
    """Corners and blobs: the positive part of the determinant of the luminance's Hessian, as in SURF.

    D = L_xx·L_yy − 0.81·L_xy² at σ = 1.2 pixels (Bay et al., 2008, whose box filters are replaced by Gaussians), times
    20, so that on pictures of few pixels it fills the range of Taskonomy's own.
    """
    grey = _luminance(pictures)
    xx, yy, xy = (_derivative(grey, _KEYPOINT_SCALE, order) for order in ((0, 2), (2, 0), (1, 1)))
    return _response16(20 * (xx * yy - 0.81 * xy**2))


def edge_texture(pictures: UInt8[np.ndarray, "n c h w"]) -> UInt16[np.ndarray, "n h w"]:
    """Edges of light and dark: the length of the luminance's gradient at σ = 1 pixel, what Canny's detector thins."""
    grey = _luminance(pictures)
    return _response16(np.hypot(*(_derivative(grey, _EDGE_SCALE, order) for order in ((0, 1), (1, 0)))))


def segment_unsup2d(pictures: UInt8[np.ndarray, "n c h w"]) -> UInt16[np.ndarray, "n h w"]:
    """Segments of like colours (Felzenszwalb and Huttenlocher, 2004), numbered from 0 in each picture.

    None is smaller than 1/64 of the picture.
    """
    from skimage.segmentation import felzenszwalb

    least = round(pictures[0, 0].size * _SEGMENT_SHARE)
    segments = [
        felzenszwalb(picture, scale=_SEGMENT_SCALE, sigma=_SEGMENT_BLUR, min_size=least, channel_axis=0)
        for picture in pictures
    ]
    return np.stack(segments).astype(np.uint16)


#: Domain → what computes it from pictures.
TARGETS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"keypoints2d": keypoints2d, "edge_texture": edge_texture, "segment_unsup2d": segment_unsup2d}
)


def write_targets(domain: str, pictures: UInt8[Tensor, "n c h w"], folder: Path) -> None:
    """Computes a domain of all pictures into files of 512; those that an interrupted call wrote are kept."""
    for start in tqdm(range(0, len(pictures), _ROWS), domain, disable=None):
        path = folder / f"{start:09d}.npy"
        if not path.exists():
            with whole_file(path) as temporary:
                np.save(temporary, TARGETS[domain](pictures[start : start + _ROWS].numpy()))


def read_targets(folder: Path) -> np.ndarray:
    """What `write_targets` wrote, `[n, h, w]`."""
    return np.concatenate([np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))])


def _luminance(pictures: UInt8[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    if pictures.shape[1] == 1:
        return pictures[:, 0] / 255
    grey: np.ndarray = np.einsum("nchw,c->nhw", pictures, _LUMINANCE) / 255
    return grey


def _derivative(grey: Float[np.ndarray, "n h w"], scale: float, order: tuple[int, int]) -> Float[np.ndarray, "n h w"]:
    """The derivative of that order (down, right) of the smoothed pictures."""
    values: np.ndarray = gaussian_filter(grey, scale, order=order, mode="nearest", axes=(1, 2))
    return values


def _response16(values: Float[np.ndarray, "n h w"]) -> UInt16[np.ndarray, "n h w"]:
    """A response as Taskonomy stores it: 16-bit fractions of 1."""
    raw: np.ndarray = np.round(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    return raw
