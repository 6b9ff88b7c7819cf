"""Networks for small devices: pruning, quantization to integers of few bits, distillation.

- `pruning`: `global_masks` and `layer_masks` by magnitude, `apply_masks`, `keep_zeros` in fine-tuning, `sparsity`
- `quantization`: `symmetric_scale`, `affine_scale`, `quantize`, `dequantize`, `fake_quantize`; `Quantized` arrays, and
  their products `quantized_linear` and `quantized_convolve`
- `integer`: whole models, with `calibrate`, `quantize_variables`, `dequantize_variables`, `apply_integer`,
  `apply_simulated`, `size_in_bytes`
- `distillation`: `soft_target_loss` and `distillation_loss`

`jaxdl.train.export` writes the result as one program.
"""

from jaxdl.compress.distillation import distillation_loss, soft_target_loss
from jaxdl.compress.integer import (
    apply_integer,
    apply_simulated,
    calibrate,
    dequantize_variables,
    quantize_variables,
    size_in_bytes,
)
from jaxdl.compress.pruning import KeepZerosState, apply_masks, global_masks, keep_zeros, layer_masks, sparsity
from jaxdl.compress.quantization import (
    Quantized,
    affine_scale,
    dequantize,
    fake_quantize,
    quantize,
    quantized_convolve,
    quantized_linear,
    symmetric_scale,
)

__all__ = [
    "KeepZerosState",
    "Quantized",
    "affine_scale",
    "apply_integer",
    "apply_masks",
    "apply_simulated",
    "calibrate",
    "dequantize",
    "dequantize_variables",
    "distillation_loss",
    "fake_quantize",
    "global_masks",
    "keep_zeros",
    "layer_masks",
    "quantize",
    "quantize_variables",
    "quantized_convolve",
    "quantized_linear",
    "size_in_bytes",
    "soft_target_loss",
    "sparsity",
    "symmetric_scale",
]
