"""Compares exported GGUF files with those that llama_model_quantize makes of the float32 file, tensor by tensor and byte by byte.

Arguments: the folder of node-llama-cpp's libraries (@node-llama-cpp/linux-x64/bins/linux-x64), and a folder that
`tunesmith export MODEL --to gguf:f32 gguf:q4_k_m ...` wrote, also with --imatrix. Needs the package gguf.
"""
import ctypes, glob, os, re, sys, tempfile
import gguf
import numpy as np

libraries, folder = sys.argv[1:3]
find = lambda name: sorted(glob.glob(os.path.join(libraries, name)))[0]
for name in ("libggml-base.so*", "libggml.*"):
    ggml = ctypes.CDLL(find(name), mode=ctypes.RTLD_GLOBAL)
llama = ctypes.CDLL(find("libllama.v*"))
ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
ggml.ggml_backend_load(find("libggml-cpu-x64.so").encode())


class Importance(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Parameters(ctypes.Structure):
    # Only these fields are set; the rest is as large as in any version.
    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("types_and_flags", ctypes.c_uint8 * 16),
                ("importance", ctypes.POINTER(Importance)), ("rest", ctypes.c_uint8 * 240)]


llama.llama_model_quantize_default_params.restype = Parameters
llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Parameters)]
silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
llama.llama_log_set(silent, None)
codes = dict(q8_0=7, q6_k=18, q5_k_m=17, q5_k_s=16, q4_k_m=15, q4_k_s=14, q5_1=9, q5_0=8, q4_1=3, q4_0=2,
             q3_k_l=13, q3_k_m=12, q3_k_s=11, q2_k=10, iq4_xs=30, iq4_nl=25)
source = glob.glob(os.path.join(folder, "gguf", "*-F32.gguf"))[0]
if any("_exps" in tensor.name for tensor in gguf.GGUFReader(source).tensors):
    # Without experts llama.cpp has no matrix in this type.
    codes["mxfp4"] = 38
tensors = lambda path: {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
matrices = glob.glob(os.path.join(folder, "gguf", "*-imatrix.gguf"))
importance, kept = None, []
if matrices:
    # As tools/quantize reads it: the sums of squares divided by the counts, and ones for an expert without any.
    entries = tensors(matrices[0])
    for name in [key[:-8] for key in entries if key.endswith(".in_sum2")]:
        counts = entries[name + ".counts"].data.reshape(-1, 1)
        sums = entries[name + ".in_sum2"].data.reshape(len(counts), -1)
        values = np.where(counts > 0, sums / np.maximum(counts, 1), 1).astype("float32").flatten()
        kept.append((name.encode(), values))
    importance = (Importance * (len(kept) + 1))(*[Importance(name, values.ctypes.data, values.size) for name, values in kept])
failed = False
for name, code in codes.items():
    exported = source.replace("-F32.gguf", f"-{name.upper()}.gguf")
    if not os.path.exists(exported):
        continue
    parameters = llama.llama_model_quantize_default_params()
    parameters.threads, parameters.file_type = 1, code
    if importance is not None:
        parameters.importance = importance
    with tempfile.TemporaryDirectory() as place:
        out = os.path.join(place, "theirs.gguf")
        if llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(parameters)) != 0:
            sys.exit(f"llama_model_quantize failed for {name}")
        theirs, ours = tensors(out), tensors(exported)
        types = [key for key in theirs if theirs[key].tensor_type != ours[key].tensor_type]
        others = [key for key in theirs if key not in types and theirs[key].data.tobytes() != ours[key].data.tobytes()]
    failed |= bool(types or others)
    print(f"{name}: {len(theirs)} tensors, {len(types)} of another type {types[:3]}, {len(others)} with other bytes {others[:3]}")
sys.exit(1 if failed else 0)
