"""Compares the logits of an exported T5 in llama.cpp with those of transformers, since node-llama-cpp runs no encoder-decoder.

Arguments: the folder of node-llama-cpp's libraries (@node-llama-cpp/linux-x64/bins/linux-x64), and a folder that
`tunesmith export MODEL --to merged gguf:f32 --out FOLDER` wrote. Needs torch and transformers.
"""
import ctypes, glob, os, sys
import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM

libraries, folder = sys.argv[1:3]
find = lambda name: sorted(glob.glob(os.path.join(libraries, name)))[0]
for name in ("libggml-base.so*", "libggml.*"):
    ggml = ctypes.CDLL(find(name), mode=ctypes.RTLD_GLOBAL)
llama = ctypes.CDLL(find("libllama.v*"))
ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
ggml.ggml_backend_load(find("libggml-cpu-x64.so").encode())


class Parameters(ctypes.Structure):
    # As large as in any version: callers hand over a copy on the stack.
    _fields_ = [("context", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 508)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("token", ctypes.POINTER(ctypes.c_int32)), ("embd", ctypes.c_void_p),
                ("pos", ctypes.POINTER(ctypes.c_int32)), ("sequences", ctypes.POINTER(ctypes.c_int32)),
                ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))), ("logits", ctypes.POINTER(ctypes.c_int8))]


def declare(name, result, *arguments):
    function = getattr(llama, name)
    function.restype, function.argtypes = result, arguments
    return function


model_defaults = declare("llama_model_default_params", Parameters)
context_defaults = declare("llama_context_default_params", Parameters)
load = declare("llama_model_load_from_file", ctypes.c_void_p, ctypes.c_char_p, Parameters)
open_context = declare("llama_init_from_model", ctypes.c_void_p, ctypes.c_void_p, Parameters)
make_batch = declare("llama_batch_init", Batch, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32)
encode = declare("llama_encode", ctypes.c_int32, ctypes.c_void_p, Batch)
decode = declare("llama_decode", ctypes.c_int32, ctypes.c_void_p, Batch)
logits_at = declare("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_int32)
silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
llama.llama_log_set(silent, None)


def batch_of(ids):
    batch = make_batch(len(ids), 0, 1)
    batch.count = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.sequences[i], batch.logits[i] = token, i, 1, 1
        batch.sequence[i][0] = 0
    return batch


reference = AutoModelForSeq2SeqLM.from_pretrained(os.path.join(folder, "merged"), dtype=torch.float32).eval()
vocabulary = reference.config.vocab_size
path = glob.glob(os.path.join(folder, "gguf", "*-F32.gguf"))[0]
model = load(path.encode(), model_defaults())
if not model:
    sys.exit(f"llama.cpp does not open {path}")
settings = context_defaults()
settings.context = 512
random = np.random.default_rng(1)
worst = 0.0
for length, answer in ((5, 4), (40, 12), (160, 3)):
    ids, start = random.integers(3, vocabulary, length), reference.config.decoder_start_token_id
    answers = [start, *random.integers(3, vocabulary, answer - 1)]
    context = open_context(model, settings)
    if encode(context, batch_of(ids)) != 0 or decode(context, batch_of(answers)) != 0:
        sys.exit("llama.cpp computes nothing")
    theirs = np.stack([np.ctypeslib.as_array(logits_at(context, i), (vocabulary,)).copy() for i in range(answer)])
    with torch.no_grad():
        ours = reference(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([answers])).logits[0].numpy()
    difference = np.abs(ours - theirs).max() / np.abs(ours).max()
    worst = max(worst, difference)
    print(f"{length} tokens, answer of {answer}: largest difference {difference:.2e} of the largest logit")
sys.exit(0 if worst < 1e-2 else 1)
