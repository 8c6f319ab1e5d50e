"""The teacher models: readers that lie beside the weights, outside this repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["load_teachers"]

_MODULE = "veilstream_teachers"


def load_teachers(folder: Path) -> ModuleType:
    """Import ``teachers.py`` of ``folder``; the models are opened when first used.

    Args:
        folder: Usually ``../shared/models``.

    Raises:
        FileNotFoundError: The folder has no ``teachers.py``.
    """
    path = folder.resolve() / "teachers.py"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the teacher models are not part of this repository; "
            "say where they are with --teachers FOLDER"
        )
    loaded = sys.modules.get(_MODULE)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
    return module
