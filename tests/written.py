"""Tables that a test writes in an analysis's stead."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cot.store.run import Run


def write_table(
    run: Run,
    name: str,
    frame: pd.DataFrame,
    *,
    command: str = "planted",
    parameters: Mapping[str, Any] | None = None,
    inputs: Iterable[str] = (),
) -> None:
    maker = run.made_by(command, parameters or {}, [name])
    for source in inputs:
        maker.reads(source)
    maker.write_table(name, frame)
