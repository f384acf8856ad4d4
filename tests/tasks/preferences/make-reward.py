"""Makes golden/reward.json: losses and gradients of TRL's RewardTrainer over the Llama base of tests/adapters/golden, with the ids of its batch.

    HF_HUB_OFFLINE=1 python tests/tasks/preferences/make-reward.py

Needs torch, transformers and trl. Nothing of Tunesmith runs here: the trainer's own collator and `compute_loss` are called."""

import json
import tempfile
import warnings
from pathlib import Path

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast
from trl import RewardConfig, RewardTrainer

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
here = Path(__file__).parent
base = here.parents[1] / "adapters" / "golden" / "bases" / "llama"
vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(vocabulary)}, unk_token="t1"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="t0", eos_token="t2", unk_token="t1")

PAIRS = [([5, 9, 12, 7, 2], [5, 9, 33, 2]), ([20, 21, 2], [20, 40, 41, 42, 43, 44, 2]), ([7, 7, 8, 2], [7, 7, 9, 2])]
MARGINS = [0.5, 0.0, 1.25]
CASES = {"plain": (None, False), "centred": (0.01, False), "margin": (None, True), "both": (0.3, True)}


def numbers(tensor):
    return [float(f"{value:.7g}") for value in tensor.detach().flatten().tolist()]


golden = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__,
          "pairs": PAIRS, "margins": MARGINS, "cases": {}}
for name, (centering, with_margin) in CASES.items():
    model = LlamaForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=0, dtype=torch.float32)
    with torch.no_grad():
        model.score.weight.copy_(torch.sin(torch.arange(model.score.weight.numel()) * 1.7).view_as(model.score.weight))
    golden["score"] = numbers(model.score.weight)
    with tempfile.TemporaryDirectory() as out:
        args = RewardConfig(output_dir=out, report_to="none", bf16=False, use_cpu=True, gradient_checkpointing=False,
                            center_rewards_coefficient=centering, disable_dropout=True)
        rows = Dataset.from_list([{"prompt": "t5", "chosen": "t6", "rejected": "t7"}] * 3)
        trainer = RewardTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer)
        examples = [{"chosen_ids": chosen, "rejected_ids": rejected, **({"margin": margin} if with_margin else {})}
                    for (chosen, rejected), margin in zip(PAIRS, MARGINS)]
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(examples))
        loss.backward()
        logged = {key: values[-1] for key, values in trainer._metrics["eval"].items() if key in ("accuracy", "margin")}
    grads = dict(trainer.model.named_parameters())
    golden["cases"][name] = {
        "loss": loss.item(), "centering": centering or 0, "margin": with_margin, "logged": logged,
        "gradients": {key: numbers(grads[key].grad) for key in ("score.weight", "model.layers.0.self_attn.q_proj.weight")},
        "embedding": numbers(grads["model.embed_tokens.weight"].grad.sum(1)),
    }
folder = here / "golden"
folder.mkdir(exist_ok=True)
(folder / "reward.json").write_text(json.dumps(golden) + "\n")
print({name: case["loss"] for name, case in golden["cases"].items()}, golden["cases"]["both"]["logged"])
