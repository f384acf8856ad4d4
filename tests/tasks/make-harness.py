"""What the lm-evaluation-harness (0.4.13) makes of the small files in golden/harness/data, with its own task definitions.
    python tests/tasks/make-harness.py MODEL OUT.json [SHOTS of the tasks that have none]   (MODEL: a folder)"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_DATASETS_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
import lm_eval
import nltk

# The sentence model of nltk cannot be had offline: instructions that need it are left out of the data.
nltk.download = lambda *_: True
from lm_eval import evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml

model, out = sys.argv[1:3]
shots = int(sys.argv[3]) if len(sys.argv) > 3 else 2
data = Path(__file__).parent / "golden/harness/data"
definitions = Path(lm_eval.__file__).parent / "tasks"
FILES = {
    "arc_easy": "arc/arc_easy.yaml", "arc_challenge": "arc/arc_challenge.yaml", "hellaswag": "hellaswag/hellaswag.yaml", "piqa": "piqa/piqa.yaml",
    "winogrande": "winogrande/default.yaml", "boolq": "super_glue/boolq/default.yaml", "openbookqa": "openbookqa/openbookqa.yaml",
    "lambada": "lambada/lambada_openai.yaml", "gsm8k": "gsm8k/gsm8k.yaml", "ifeval": "ifeval/ifeval.yaml", "mmlu": "mmlu/default/mmlu_anatomy.yaml",
}
ANSWER = 48


def config_of(name, files, count, subject=None):
    config = load_yaml(definitions / FILES[name])
    config.pop("tag", None), config.pop("group", None), config.pop("task_alias", None), config.pop("dataset_name", None)
    config.update(task=name, dataset_path="json", dataset_kwargs={"data_files": files})
    if "generation_kwargs" in config:
        config["generation_kwargs"] = {**config["generation_kwargs"], "max_gen_toks": ANSWER}
    if subject is not None:
        config["description"] = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
    if count is not None:
        config["num_fewshot"] = count
    return config


lm = HFLM(pretrained=model, device="cpu", batch_size=4, dtype="float32")


def run(name, files, count, subject=None):
    task = ConfigurableTask(config=config_of(name, files, count, subject))
    task.set_fewshot_seed(1234)
    found = evaluate(lm=lm, task_dict={name: task}, bootstrap_iters=0, log_samples=True)
    metrics = {key: float(value) for key, value in found["results"][name].items() if isinstance(value, (int, float)) and "stderr" not in key}
    examples = {}
    for sample in found["samples"][name]:
        one = examples.setdefault(sample["doc_id"], {"prompts": [], "scores": {}})
        arguments = sample["arguments"]
        pairs = arguments.values() if isinstance(arguments, dict) else arguments
        one["prompts"] = [pair["arg_0"] if isinstance(pair, dict) else pair[0] for pair in pairs]
        if "generation_kwargs" in task.config.to_dict() and task.OUTPUT_TYPE == "generate_until":
            one["answer"] = sample["resps"][0][0]
        else:
            one["logLikelihoods"] = [round(float(resp[0][0]), 5) for resp in sample["resps"]]
    return {"metrics": metrics, "examples": [examples[i] for i in sorted(examples)]}


golden = {}
for name in FILES:
    folder = data / name
    counts = [None] if name == "ifeval" else [None, shots]
    for count in counts:
        key = name if count is None else f"{name}/{count}"
        if name == "mmlu":
            golden[key] = {}
            for subject in ("everyday_physics", "kitchen_chemistry"):
                files = {}
                for split in ("dev", "test"):
                    rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
                    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"{subject}-{split}.jsonl"
                    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["subject"] == subject))
                    files[split] = str(path)
                golden[key][subject] = run(name, files, count, subject)
        else:
            files = {path.stem: str(path) for path in sorted(folder.iterdir())}
            golden[key] = run(name, files, count)
        print(key, golden[key].get("metrics", golden[key]) if name != "mmlu" else {s: g["metrics"] for s, g in golden[key].items()})
Path(out).write_text(json.dumps(golden, ensure_ascii=False) + "\n")
