"""Matrices in 8 and 4 bits as bitsandbytes 0.50 makes them: codes, scales, scales in 8 bits, and the floats that come back.
  pip install bitsandbytes==0.50.2 torch==2.13.0 safetensors
  python tests/parity/make-frozen.py"""
from pathlib import Path

import torch
from bitsandbytes import functional as F
from safetensors.torch import save_file

torch.manual_seed(11)
cases = {
    # Blocks of 64 within rows, and enough of them for two scales of scales.
    "whole": torch.randn(40, 512) * 0.05,
    # Rows that share blocks, a last block that is not whole, an odd number of elements.
    "ragged": torch.randn(7, 45) * torch.linspace(0.001, 3, 7)[:, None],
}
cases["whole"][3, :128] = 0
cases["whole"][5, 7] = 40.0
# On the borders between neighbouring codes.
code = F.get_4bit_type("nf4", device="cpu")
cases["borders"] = torch.cat([code, (code[:-1] + code[1:]) / 2, torch.zeros(33)]).view(1, 64)

out = {}
for name, weight in cases.items():
    codes, state = F.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    out[f"{name}.weight"] = weight
    out[f"{name}.codes"] = codes.flatten()
    out[f"{name}.scales"] = state.absmax
    out[f"{name}.back"] = F.dequantize_4bit(codes, state)
    codes, state = F.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
    out[f"{name}.double.codes"] = state.absmax
    out[f"{name}.double.outer"] = state.state2.absmax
    out[f"{name}.double.offset"] = state.offset.reshape(1)
    out[f"{name}.double.back"] = F.dequantize_4bit(codes, state)
    codes, largest, _ = F.int8_vectorwise_quant(weight)
    out[f"{name}.int8.codes"] = codes
    out[f"{name}.int8.largest"] = largest
save_file({k: v.contiguous().clone() for k, v in out.items()}, Path(__file__).parent / "golden" / "frozen.safetensors")
