"""Golden hashes of quantised blocks, by libggml-base.so of node-llama-cpp 3.22.1 (argument: its path).

Values, and the importance of columns for `NAME with an importance matrix`, are linear congruential sequences that the test
makes too, so that only hashes are kept.
"""
import ctypes, hashlib, json, sys
import numpy as np

library = ctypes.CDLL(sys.argv[1])
library.ggml_quantize_chunk.restype = ctypes.c_size_t
library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
rows, width = 16, 1024
state = 12345
def draw():
    global state
    total = 0
    for _ in range(4):
        state = (state * 1664525 + 1013904223) % 2**32
        total += state / 2**32 - 0.5
    return total
x = np.array([draw() * (0.01 if i < width else 1) * (0 if 3 * width <= i < 3 * width + 300 else 1) for i in range(rows * width)], np.float32)
# Inputs of very different sizes, and columns without any.
importance = np.array([0 if 40 <= i < 60 or 512 <= i < 768 else (draw() * (30 if i % 7 == 0 else 1)) ** 2 for i in range(width)], np.float32)
types = {"Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136), "MXFP4": (39, 32, 17)}
# Rows of 96 are no whole number of eight blocks. Their values are multiples of 1/8 and zeros: many ties.
eighths = np.ascontiguousarray((np.maximum(0, np.floor(x[: 170 * 96] * 8) / 8) + 0.0).astype(np.float32))  # + 0.0: no -0
out = {}
for name, (code, size, block) in types.items():
    for rows, width, values in ((16, 1024, x), (170, 96, eighths)):
        if width % size: continue
        for weighted in (False, True):
            if weighted and name in ("Q8_0", "MXFP4"): continue
            blocks = np.zeros(rows * width // size * block, np.uint8)
            library.ggml_quantize_chunk(code, values.ctypes.data, blocks.ctypes.data, 0, rows, width, importance.ctypes.data if weighted else None)
            key = name + (" in rows of 96" if width == 96 else "") + (" with an importance matrix" if weighted else "")
            out[key] = hashlib.sha256(blocks.tobytes()).hexdigest()
            if len(sys.argv) > 2: open(f"{sys.argv[2]}/{key.replace(' ', '-')}.bin", "wb").write(blocks.tobytes())
print(json.dumps(out, indent=2))
