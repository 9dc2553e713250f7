"""What pyproject.toml cannot say: `conf/`, at the top of the repository, goes into the package as `unlearnable/conf`.

An editable installation reads the repository's own.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigurations(build_py):
    """Builds the package and puts the configurations beside its modules."""

    def run(self) -> None:
        """Builds."""
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "unlearnable", "conf")
            shutil.rmtree(inside, ignore_errors=True)  # an earlier build's, which may hold files that are gone
            shutil.copytree("conf", inside)


setup(cmdclass={"build_py": BuildWithConfigurations})
