# Quantises a matrix by onnxruntime's own quantisers: writes onnx-quantisers.json beside this file.
# Run: python make-onnx-quantisers.py (onnxruntime 1.24 or newer, onnx, onnx_ir)
import hashlib
import json
import os
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

# [N, K], K a multiple of 32: past the end of a row the reference leaves undefined bits. The last row is zero.
N, K = 37, 96
matrix = ((np.arange(N * K) * 7919) % 2003 - 1001).astype(np.float64) / 1000
matrix = matrix.astype(np.float32).reshape(N, K)
matrix[-1] = 0
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"], name="m")],
    "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, K])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, N])],
    [numpy_helper.from_array(np.ascontiguousarray(matrix.T), "w")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
digest = lambda array: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
with tempfile.TemporaryDirectory() as folder:
    source, target = os.path.join(folder, "a.onnx"), os.path.join(folder, "b.onnx")
    onnx.save(model, source)
    quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    eight = {i.name: numpy_helper.to_array(i) for i in onnx.load(target).graph.initializer}
four = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True)
four.process()
arrays = [numpy_helper.to_array(i) for i in four.model.model.graph.initializer if i.name != "w"]
codes = next(a for a in arrays if a.dtype == np.uint8)
scales = next(a for a in arrays if a.dtype == np.float32)
found = {
    "int8": digest(eight["w_quantized"]),
    "int8Scale": float(eight["w_scale"].reshape(-1)[0]),
    "int4": digest(codes),
    "int4Scales": digest(scales),
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx-quantisers.json")
with open(path, "w") as file:
    file.write(json.dumps(found, indent=2) + "\n")
