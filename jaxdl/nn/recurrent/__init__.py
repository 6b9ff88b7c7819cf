"""Recurrent networks: cells, the scan over time, and modules with parameters."""

from jaxdl.nn.recurrent import cells
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
    init,
    preactivations,
)
from jaxdl.nn.recurrent.gradients import GRUKept, LSTMFactors, LSTMKept, Rule, VanillaKept, rule_for
from jaxdl.nn.recurrent.inputs import check_names, check_parameters, check_sequences, prepare_carry, valid_steps
from jaxdl.nn.recurrent.modules import RNN, CellParameters, RecurrentCell
from jaxdl.nn.recurrent.scanning import (
    BACKENDS,
    DIRECTIONS,
    bidirectional_scan,
    chunks,
    init_stack,
    scan,
    stack,
)

__all__ = [
    "BACKENDS",
    "DIRECTIONS",
    "GRU",
    "LSTM",
    "RNN",
    "Attended",
    "AttentionCell",
    "Cell",
    "CellParameters",
    "ConstantForgetLSTM",
    "FourGateLSTM",
    "GRUKept",
    "Jordan",
    "JordanState",
    "LSTMFactors",
    "LSTMKept",
    "LSTMState",
    "PeepholeLSTM",
    "RecurrentCell",
    "Rule",
    "Vanilla",
    "VanillaKept",
    "bidirectional_scan",
    "cells",
    "check_names",
    "check_parameters",
    "check_sequences",
    "chunks",
    "init",
    "init_stack",
    "preactivations",
    "prepare_carry",
    "rule_for",
    "scan",
    "stack",
    "valid_steps",
]
