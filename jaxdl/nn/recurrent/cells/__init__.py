"""Recurrent cells: one time step each, as a pure function that reads like its equations.

A cell is a frozen dataclass without arrays, ``LSTM(64)``. Calling it computes one step, ``cell(parameters, carry, x_t)
-> (carry, y_t)``, with examples as rows: ``x_t`` is ``[..., D]``, the state ``h`` is ``[..., H]``. The letters are

    W  ``kernel`` ``[D, G H]``             on the input
    U  ``recurrent_kernel`` ``[H, G H]``   on the state (square for each gate)
    b  ``bias`` ``[G H]``

for ``G`` gates, concatenated in the order of ``cell.gates``; ``W_f`` is the block of the gate ``f``. (Some texts swap
``W`` and ``U``.) ``a`` is a pre-activation, ``s`` the sigmoid, ``g()`` the activation, ``*`` the elementwise product.

A step has two parts: ``project`` computes ``x_t W + b``, which needs no state, so that a scan computes it for all times
as one product; ``step`` does the rest. ``init_cell`` draws the parameters.

=======================  ==============================================================================
`Vanilla`                ``h_t = g(x_t W + h_(t-1) U + b)``
`Jordan`                 feeds its output back
`LSTM`                   input, forget and output gate
`ConstantForgetLSTM`     a constant in the place of the forget gate, as in 1997
`PeepholeLSTM`           gates with connections from the memory
`FourGateLSTM`           forget, learn, remember and use gate
`GRU`                    reset and update gate
=======================  ==============================================================================
"""

from jaxdl.nn.recurrent.cells.base import Cell, init_cell, preactivations
from jaxdl.nn.recurrent.cells.gru import GRU
from jaxdl.nn.recurrent.cells.lstm import LSTM, ConstantForgetLSTM, FourGateLSTM, LSTMState, PeepholeLSTM
from jaxdl.nn.recurrent.cells.vanilla import Jordan, JordanState, Vanilla

__all__ = [
    "GRU",
    "LSTM",
    "Cell",
    "ConstantForgetLSTM",
    "FourGateLSTM",
    "Jordan",
    "JordanState",
    "LSTMState",
    "PeepholeLSTM",
    "Vanilla",
    "init_cell",
    "preactivations",
]
