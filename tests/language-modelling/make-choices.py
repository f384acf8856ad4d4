"""Questions with choices, and what the lm-evaluation-harness (0.4.13) makes of them with the small GPT-2 of make-golden.py.
    python tests/language-modelling/make-choices.py   (writes golden/choices.json beside itself)"""

import json
import os
import random
import tempfile
from pathlib import Path

os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from lm_eval import evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

rng = random.Random(5)
golden = Path(__file__).parent / "golden"
WORDS = "It was the best of times worst age wisdom foolishness Call me Ishmael Some years ago never mind how long precisely keys to cabinet are on table cats that dog chases were sleeping naïve café ☕ 🐻".split()


def words(low, high):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


# Some prompts end in a space, some prompts with their choice are longer than the 32 positions, and some choices are equally good.
records = []
for i in range(120):
    choices = [words(1, 4) for _ in range(rng.randint(2, 5))]
    if i % 10 == 0:
        choices[-1] = choices[0]
    question = words(1, 9) + rng.choice(["", "?", "\n", " "])
    records.append({"id": str(i), "question": question, "choices": choices, "answer": rng.randrange(len(choices))})


def run(prompt, delimiter):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.jsonl"
        Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))
        config = {
            "task": "choices", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": path}}, "test_split": "test", "output_type": "multiple_choice",
            "doc_to_text": prompt.replace("{text}", "{{question}}"), "doc_to_target": "answer", "doc_to_choice": "choices", "target_delimiter": delimiter,
            "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm", "acc_bytes")],
        }
        lm = HFLM(pretrained=str(golden / "gpt2"), device="cpu", batch_size=4, dtype="float32", max_length=32)
        found = evaluate(lm=lm, task_dict={"choices": ConfigurableTask(config=config)}, bootstrap_iters=0, log_samples=True)
    samples = sorted(found["samples"]["choices"], key=lambda sample: int(sample["doc"]["id"]))
    metrics = {name.split(",")[0]: value for name, value in found["results"]["choices"].items() if "acc" in name and "stderr" not in name}
    return {
        "prompt": prompt, "delimiter": delimiter, "metrics": metrics,
        "logLikelihoods": [[round(float(one[0]), 5) for one in sample["filtered_resps"]] for sample in samples],
        "greedy": [[bool(one[1]) for one in sample["filtered_resps"]] for sample in samples],
        "perRecord": [[float(sample[name]) for name in ("acc", "acc_norm", "acc_bytes")] for sample in samples],
    }


torch.manual_seed(0)
runs = [run("{text}", " "), run("Question: {text}\nAnswer:", " "), run("{text}", "")]
(golden / "choices.json").write_text(json.dumps({"records": records, "runs": runs}, ensure_ascii=False) + "\n")
print([one["metrics"] for one in runs])
