"""Settings of run folders that earlier versions wrote, under their present names."""

from typing import Any

from experiments.harness.configuration import Config, as_dict


def upgrade(settings: dict[str, Any], default: Config) -> dict[str, Any]:
    """Return settings of an earlier version under the present names.

    Fields that did not exist take the values of ``default``. The share of units that dropout keeps becomes the share
    that it drops.

    >>> upgrade({"seed": 3}, Config())
    {'seed': 3}
    """
    renamed = {default.FORMER.get(name, name): value for name, value in settings.items()}
    if "retain_probability" in renamed:
        renamed["dropout_rate"] = round(1 - renamed.pop("retain_probability"), 9)
    return {**as_dict(default), **renamed}
