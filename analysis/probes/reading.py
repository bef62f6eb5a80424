"""The vectors of a target's rows at one layer and position."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.hidden_states.cells import Cell, read_cell
from cot.store.run import Run

__all__ = ["read_rows"]


def read_rows(run: Run, rows: pd.DataFrame, layer: int, position: str) -> Cell:
    """The rows that have a vector there, and the vectors.

    Rows of steps have their own step's (at `step_end`), rows of traces the last step's; rows of
    questions are read at `prompt_end`.

    Raises:
        InputError: nothing was captured there.
    """
    if "step" not in rows:
        return read_cell(run, rows, layer, position)
    index, vectors = run.activations(layer=layer, position=position)
    keys = ["question_id", "sample_index", "step"]
    place = index[keys].assign(row=np.arange(len(index))).dropna()
    place = place.astype({name: rows[name].dtype for name in keys})
    joined = rows.merge(pd.DataFrame(place), on=keys, how="inner")
    return Cell(
        traces=joined.drop(columns="row"), vectors=vectors, row=joined["row"].to_numpy(np.int64)
    )
