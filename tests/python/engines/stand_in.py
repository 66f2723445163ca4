"""stand_in: modules of an engine that is not installed, with what was recorded of them."""

import sys
import types


def install(recorded, names):
    """recorded: by name; names: which of them each module has, by its path."""
    for path, wanted in names.items():
        steps = path.split(".")
        for end in range(1, len(steps) + 1):
            module = ".".join(steps[:end])
            sys.modules.setdefault(module, types.ModuleType(module))
        for name in wanted:
            setattr(sys.modules[path], name, recorded[name])
