"""Recurrent networks: cells, the scan over time, and modules with parameters.

Cells (``recurrent.cells``): `Vanilla`, `Jordan`, `LSTM`, `ConstantForgetLSTM`, `PeepholeLSTM`, `FourGateLSTM`, `GRU`,
the base class `Cell`, the states `LSTMState` and `JordanState`, `init_cell`, `preactivations`; with attention
`AttentionCell`, `Attended`.

Scans: `scan`, `bidirectional_scan`, `stacked_scan`, `init_stacked`, `valid_steps`, `split_time`; under teacher forcing
`forced_scan`, and `forced_parallel` without a loop.

Modules: `RNN`, `RecurrentCell`, `CellParameters`.

NVIDIA's LSTM: namespace ``cudnn``.
"""

from jaxdl.nn.recurrent import cells, cudnn
from jaxdl.nn.recurrent.attention_cell import Attended, AttentionCell
from jaxdl.nn.recurrent.cells import (
    GRU,
    LSTM,
    Cell,
    ConstantForgetLSTM,
    FourGateLSTM,
    Jordan,
    JordanState,
    LSTMState,
    PeepholeLSTM,
    Vanilla,
    init_cell,
    preactivations,
)
from jaxdl.nn.recurrent.chunking import split_time
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.nn.recurrent.modules import RNN, CellParameters, RecurrentCell
from jaxdl.nn.recurrent.output_recurrence import forced_parallel, forced_scan
from jaxdl.nn.recurrent.scanning import bidirectional_scan, scan
from jaxdl.nn.recurrent.stacking import init_stacked, stacked_scan

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attended",
    "AttentionCell",
    "Cell",
    "CellParameters",
    "ConstantForgetLSTM",
    "FourGateLSTM",
    "Jordan",
    "JordanState",
    "LSTMState",
    "PeepholeLSTM",
    "RecurrentCell",
    "Vanilla",
    "bidirectional_scan",
    "cells",
    "cudnn",
    "forced_parallel",
    "forced_scan",
    "init_cell",
    "init_stacked",
    "preactivations",
    "scan",
    "split_time",
    "stacked_scan",
    "valid_steps",
]
