"""Compares an exported GGUF file with the one that llama.cpp's own conversion makes of the same model: names, shapes and bytes of
all tensors, and the values of the keys that both have.

Arguments: a folder of llama.cpp's sources (with convert_hf_to_gguf.py, as in the source package of llama-cpp-python), and a
folder that `tunesmith export MODEL --to merged gguf:f32 --out FOLDER` wrote. Needs torch and transformers.

The conversion knows BPE tokenizers by the hash of a text, and those of Llama, Phi 3 and Gemma 2 by files beside them: here all are told that
it is GPT-2's kind, as tokenizers of tests are. It reads config.json as it is, since transformers 5 leaves out fields of GPT-NeoX.
"""
import glob, json, os, runpy, sys, tempfile

sources, folder = sys.argv[1:3]
sys.path[:0] = [sources, os.path.join(sources, "gguf-py")]
import gguf
import numpy as np
from conversion.base import ModelBase, TextModel
from conversion.gemma import Gemma2Model
from conversion.llama import LlamaModel
from conversion.phi import Phi3MiniModel

TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
ModelBase.load_hparams = staticmethod(lambda path, *_, **__: json.load(open(os.path.join(path, "config.json"))))
LlamaModel.set_vocab = Phi3MiniModel.set_vocab = Gemma2Model.set_vocab = lambda self: self._set_vocab_gpt2()
target = os.path.join(tempfile.mkdtemp(), "theirs.gguf")
sys.argv = ["convert", os.path.join(folder, "merged"), "--outtype", "f32", "--outfile", target]
try:
    runpy.run_path(os.path.join(sources, "convert_hf_to_gguf.py"), run_name="__main__")
except SystemExit as end:
    if end.code:
        raise
ours, theirs = gguf.GGUFReader(glob.glob(os.path.join(folder, "gguf", "*-F32.gguf"))[0]), gguf.GGUFReader(target)
a, b = ({tensor.name: tensor for tensor in reader.tensors} for reader in (ours, theirs))
faults = [f"only ours: {name}" for name in a.keys() - b.keys()] + [f"only theirs: {name}" for name in b.keys() - a.keys()]
for name in a.keys() & b.keys():
    if list(a[name].shape) != list(b[name].shape) or not np.array_equal(a[name].data, b[name].data):
        faults.append(f"differs: {name}, {list(a[name].shape)} and {list(b[name].shape)}")
architecture = ours.fields["general.architecture"].contents()
for key in sorted(ours.fields.keys() | theirs.fields.keys()):
    if not key.startswith((f"{architecture}.", "general.architecture")):
        continue
    values = [reader.fields[key].contents() if key in reader.fields else None for reader in (ours, theirs)]
    if None in values:
        print(f"{key}: {'only ours' if values[1] is None else 'only theirs'}, {values[0] if values[1] is None else values[1]}")
    elif values[0] != values[1] and not (isinstance(values[0], float) and np.isclose(values[0], values[1], rtol=1e-6)):
        faults.append(f"{key}: {values[0]} and {values[1]}")
print(f"{architecture}: {len(a.keys() & b.keys())} tensors in both", *faults, sep="\n")
sys.exit(1 if faults else 0)
