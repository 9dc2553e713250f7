"""Unlearnable examples, one file a method: `em.py` holds `EM`, which `poison=em` chooses.

`base.py` has the seam, :class:`Poison`; `image/` and `text/` what methods for each share; `imports/` the readers of
peers' files; `folder.py` and `exporting.py` the way in and out. A method's class is imported from its own file, so that
a job loads one method and not the libraries of all.
"""

from unlearnable.poisons.base import Poison

__all__ = ["Poison"]
