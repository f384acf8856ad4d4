"""Perplexity in llama.cpp of GGUF files that were exported, and of those that llama.cpp makes itself: from the same float32 file,
with an importance matrix that it collects on the same text, as tools/imatrix and tools/quantize do.

Argument: the folder of libraries of node-llama-cpp. Standard input: JSON with `float32` (a GGUF file), `calibration` and `text`
(token ids), `types` (file types by number, by name) and `files` (paths by label). A line of JSON for each file.
"""
import ctypes, glob, json, os, re, sys, tempfile
import numpy as np

libraries, given = sys.argv[1], json.load(sys.stdin)
find = lambda name: sorted(glob.glob(os.path.join(libraries, name)))[0]
for name in ("libggml-base.so*", "libggml.*"):
    ggml = ctypes.CDLL(find(name), mode=ctypes.RTLD_GLOBAL)
llama = ctypes.CDLL(find("libllama.v*"))
flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
processor = "skylakex" if "avx512vl" in flags else "haswell" if "avx2" in flags else "x64"
ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
ggml.ggml_backend_load(find(f"libggml-cpu-{processor}.so").encode())
silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
llama.llama_log_set(silent, None)
CHUNK = 512


class Parameters(ctypes.Structure):
    # As large as in any version: callers hand over a copy on the stack.
    _fields_ = [("bytes", ctypes.c_uint8 * 512)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("sequences", ctypes.POINTER(ctypes.c_int32)),
                ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


class Tensor(ctypes.Structure):
    pass


Tensor._fields_ = [("type", ctypes.c_int32), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4),
                   ("nb", ctypes.c_size_t * 4), ("op", ctypes.c_int32), ("parameters", ctypes.c_int32 * 16),
                   ("flags", ctypes.c_int32), ("src", ctypes.POINTER(Tensor) * 10), ("view", ctypes.c_void_p),
                   ("offset", ctypes.c_size_t), ("data", ctypes.c_void_p), ("name", ctypes.c_char * 64)]


class Importance(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Quantise(ctypes.Structure):
    # Only these fields are set; the rest is as large as in any version.
    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("types_and_flags", ctypes.c_uint8 * 16),
                ("importance", ctypes.POINTER(Importance)), ("rest", ctypes.c_uint8 * 240)]


def declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


model_defaults = declare(llama, "llama_model_default_params", Parameters)
context_defaults = declare(llama, "llama_context_default_params", Parameters)
load = declare(llama, "llama_model_load_from_file", ctypes.c_void_p, ctypes.c_char_p, Parameters)
free_model = declare(llama, "llama_model_free", None, ctypes.c_void_p)
open_context = declare(llama, "llama_init_from_model", ctypes.c_void_p, ctypes.c_void_p, Parameters)
free_context = declare(llama, "llama_free", None, ctypes.c_void_p)
set_threads = declare(llama, "llama_set_n_threads", None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)
memory_of = declare(llama, "llama_get_memory", ctypes.c_void_p, ctypes.c_void_p)
clear = declare(llama, "llama_memory_clear", None, ctypes.c_void_p, ctypes.c_bool)
make_batch = declare(llama, "llama_batch_init", Batch, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32)
free_batch = declare(llama, "llama_batch_free", None, Batch)
decode = declare(llama, "llama_decode", ctypes.c_int32, ctypes.c_void_p, Batch)
logits_at = declare(llama, "llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_int32)
vocab_of = declare(llama, "llama_model_get_vocab", ctypes.c_void_p, ctypes.c_void_p)
tokens_of = declare(llama, "llama_vocab_n_tokens", ctypes.c_int32, ctypes.c_void_p)
quantise = declare(llama, "llama_model_quantize", ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p,
                   ctypes.POINTER(Quantise))
quantise_defaults = declare(llama, "llama_model_quantize_default_params", Quantise)
op_name = declare(ggml, "ggml_op_name", ctypes.c_char_p, ctypes.c_int32)


def settings(watch=None):
    """A context of one chunk; `watch` sees every tensor that is computed."""
    found = context_defaults()
    memory = found.bytes
    ctypes.c_uint32.from_buffer(memory, 0).value = CHUNK
    if watch is not None:
        # The callback and its argument stand before the types of the cache, which are both float16.
        at = next(i for i in range(0, 256, 8) if bytes(memory[i:i + 8]) == b"\x01\0\0\0\x01\0\0\0" and i > 48)
        ctypes.c_void_p.from_buffer(memory, at - 16).value = ctypes.cast(watch, ctypes.c_void_p).value
    return found


def run(path, chunks, watch=None):
    """Logits of each chunk, [tokens, vocabulary]."""
    model = load(path.encode(), model_defaults())
    if not model:
        sys.exit(f"llama.cpp does not open {path}")
    context, vocabulary = open_context(model, settings(watch)), tokens_of(vocab_of(model))
    set_threads(context, 1, 1)
    for ids in chunks:
        clear(memory_of(context), True)
        batch = make_batch(len(ids), 0, 1)
        batch.count = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.sequences[i], batch.logits[i] = token, i, 1, 1
            batch.sequence[i][0] = 0
        if decode(context, batch) != 0:
            sys.exit(f"llama.cpp computes nothing from {path}")
        yield np.ctypeslib.as_array(logits_at(context, 0), (len(ids), vocabulary))
        free_batch(batch)
    free_context(context)
    free_model(model)


def chunks_of(ids):
    return [ids[at:at + CHUNK] for at in range(0, len(ids) - CHUNK + 1, CHUNK)]


def perplexity(path):
    """Of the second half of each chunk, as llama-perplexity has it."""
    total, count = 0.0, 0
    for ids, logits in zip(chunks_of(given["text"]), run(path, chunks_of(given["text"]))):
        for row in range(CHUNK // 2, CHUNK - 1):
            values = logits[row].astype(np.float64)
            most = values.max()
            total += np.log(np.exp(values - most).sum()) + most - values[ids[row + 1]]
            count += 1
    return float(np.exp(total / count))


sums, counts = {}, {}


@ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.POINTER(Tensor), ctypes.c_bool, ctypes.c_void_p)
def watch(tensor, ask, _):
    """As IMatrixCollector::collect_imatrix for dense matrices."""
    tensor = tensor.contents
    if op_name(tensor.op) != b"MUL_MAT":
        return False
    weights, inputs = tensor.src[0].contents, tensor.src[1].contents
    if not weights.name.startswith(b"blk.") or inputs.ne[1] < 16 or inputs.type != 0:
        return False
    if ask:
        return True
    name, width = weights.name, inputs.ne[0]
    rows = np.ctypeslib.as_array(ctypes.cast(inputs.data, ctypes.POINTER(ctypes.c_float)), (inputs.ne[1], width))
    sums[name] = sums.get(name, 0) + np.square(rows).sum(0, dtype=np.float32)
    counts[name] = counts.get(name, 0) + inputs.ne[1]
    return True


say = lambda **values: print(json.dumps({"part": "low-bits", "in": "llama.cpp", **values}), flush=True)
say(file="float32", perplexity=perplexity(given["float32"]))
for label, path in given["files"].items():
    say(file=label, perplexity=perplexity(path))
for _ in run(given["float32"], chunks_of(given["calibration"]), watch):
    pass
kept = [(name, (total / counts[name]).astype(np.float32)) for name, total in sums.items()]
say(importance=len(kept), tokens=int(max(counts.values())))
importance = (Importance * (len(kept) + 1))(*[Importance(name, values.ctypes.data, values.size) for name, values in kept])
for name, code in given["types"].items():
    parameters = quantise_defaults()
    parameters.threads, parameters.file_type, parameters.importance = 1, code, importance
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "theirs.gguf")
        if quantise(given["float32"].encode(), out.encode(), ctypes.byref(parameters)) != 0:
            sys.exit(f"llama_model_quantize failed for {name}")
        say(file=f"{name}, llama.cpp's own", perplexity=perplexity(out))
