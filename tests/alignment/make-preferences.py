"""Makes golden/preferences.json and the two small models beside it: losses, gradients and logged statistics of preference objectives.

    python tests/alignment/make-preferences.py

Needs torch, transformers, datasets and trl 1.16. Where TRL has the objective its own trainer computes it on our ids; where it has not,
plain PyTorch in float64 does, from the formulas of the papers. Nothing of Tunesmith runs here."""

import json
import os
import random
import tempfile
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1")
warnings.filterwarnings("ignore")

import torch
import torch.nn.functional as F
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

torch.set_num_threads(1)
here = Path(__file__).parent / "golden"
VOCABULARY = 48
GRADIENTS = ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight"]

words = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>"] + [chr(97 + i) for i in range(26)] + ["<unk>"])}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
tokenizer.decoder = decoders.Fuse()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def build(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                         num_key_value_heads=1, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                         initializer_range=0.4, tie_word_embeddings=False)
    return LlamaForCausalLM(config).float()


def near(model, seed):
    """A model that differs from another one as after some training."""
    other = LlamaForCausalLM(model.config).float()
    other.load_state_dict(model.state_dict())
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return other


reference = build(1)
policy = near(reference, 2)
for name, model in (("policy", policy), ("reference", reference)):
    model.save_pretrained(here / name)
    (here / name / "generation_config.json").unlink(missing_ok=True)

draw = random.Random(3)
ids = lambda length: [draw.randrange(3, VOCABULARY) for _ in range(length)]
pairs = [{"prompt": [1, *ids(p)], "chosen": [*ids(c), 2], "rejected": [*ids(r), 2]} for p, c, r in [(4, 6, 3), (1, 2, 9), (7, 5, 5), (3, 1, 4), (2, 8, 6)]]
ratings = [{"prompt": pair["prompt"], "completion": pair[side], "good": side == "chosen"}
           for pair, side in zip(pairs, ["chosen", "rejected", "rejected", "chosen", "rejected"])]


def fresh():
    model = LlamaForCausalLM(policy.config).float()
    model.load_state_dict(policy.state_dict())
    return model


def frozen():
    model = LlamaForCausalLM(reference.config).float()
    model.load_state_dict(reference.state_dict())
    return model


def gradients(model):
    named = dict(model.named_parameters())
    return {name: named[name].grad.double().flatten().tolist() for name in GRADIENTS}


text = Dataset.from_list([{"prompt": "ab", "chosen": "cd", "rejected": "e"}] * 2)
plain = dict(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=2, max_steps=1, report_to="none", bf16=False, use_cpu=True,
             gradient_checkpointing=False, disable_tqdm=True)


def of_metrics(trainer):
    return {name: float(sum(values) / len(values)) for name, values in trainer._metrics["train"].items() if values}


def dpo(**settings):
    trainer = DPOTrainer(model=fresh(), ref_model=frozen(), args=DPOConfig(**plain, **settings), train_dataset=text, processing_class=tokenizer)
    batch = DataCollatorForPreference(pad_token_id=0)([{f"{name}_ids": pair[name] for name in pair} for pair in pairs])
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, batch, False)
    loss.backward()
    return {"loss": float(loss), "metrics": of_metrics(trainer), "gradients": gradients(trainer.model)}


def padded(rows, value=0):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def kto(mismatched, **settings):
    data = Dataset.from_list([{"prompt": "ab", "completion": "cd", "label": True}, {"prompt": "ef", "completion": "g", "label": False}])
    trainer = KTOTrainer(model=fresh(), ref_model=frozen(), args=KTOConfig(**plain, **settings), train_dataset=data, processing_class=tokenizer)
    batch = {"label": [rating["good"] for rating in ratings]}
    for prefix, completions in (("", [r["completion"] for r in ratings]), ("KL_", [ratings[j]["completion"] for j in mismatched])):
        prompts = [rating["prompt"] for rating in ratings]
        batch[f"{prefix}input_ids"] = padded([p + c for p, c in zip(prompts, completions)])
        batch[f"{prefix}attention_mask"] = padded([[1] * len(p + c) for p, c in zip(prompts, completions)])
        batch[f"{prefix}completion_mask"] = padded([[0] * len(p) + [1] * len(c) for p, c in zip(prompts, completions)])
    batch["label"] = torch.tensor(batch["label"])
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, batch, False)
    loss.backward()
    return {"loss": float(loss), "metrics": of_metrics(trainer), "gradients": gradients(trainer.model), "mismatched": mismatched}


def free(kind, **settings):
    config, trainer_of = (ORPOConfig, ORPOTrainer) if kind == "orpo" else (CPOConfig, CPOTrainer)
    trainer = trainer_of(model=fresh(), args=config(**plain, max_length=64, **settings), train_dataset=text, processing_class=tokenizer)
    batch = {}
    for side in ("chosen", "rejected"):
        rows = [pair["prompt"] + pair[side] for pair in pairs]
        batch[f"{side}_input_ids"] = padded(rows)
        batch[f"{side}_attention_mask"] = padded([[1] * len(row) for row in rows])
        batch[f"{side}_labels"] = padded([[-100] * len(pair["prompt"]) + pair[side] for pair in pairs], -100)
    trainer.model.train()
    loss, metrics = trainer.get_batch_loss_metrics(trainer.model, batch, train_eval="train")
    loss.backward()
    return {"loss": float(loss), "metrics": {name: float(value) for name, value in metrics.items()}, "gradients": gradients(trainer.model)}


def token_log_probs(model, prompt, completion):
    logits = model(torch.tensor([prompt + completion])).logits[0, :-1].log_softmax(-1)
    return logits.gather(1, torch.tensor(prompt + completion)[1:, None])[:, 0][len(prompt) - 1:]


def formula(loss_of):
    """Plain PyTorch in float64: `loss_of` takes lists of token log-probabilities by side, of policy and of reference."""
    model, ref = fresh().double(), frozen().double()
    own = {side: [token_log_probs(model, p["prompt"], p[side]) for p in pairs] for side in ("chosen", "rejected")}
    with torch.no_grad():
        theirs = {side: [token_log_probs(ref, p["prompt"], p[side]) for p in pairs] for side in ("chosen", "rejected")}
    loss = loss_of(own, theirs)
    loss.backward()
    return {"loss": float(loss), "metrics": {}, "gradients": gradients(model)}


def sums(values):
    return torch.stack([value.sum() for value in values])


def ratios(own, theirs):
    return sums(own["chosen"]) - sums(theirs["chosen"]), sums(own["rejected"]) - sums(theirs["rejected"])


def conservative(own, theirs, beta=0.5, noise=0.2):
    won, lost = ratios(own, theirs)
    return (-(1 - noise) * F.logsigmoid(beta * (won - lost)) - noise * F.logsigmoid(-beta * (won - lost))).mean()


def ipo_sum(own, theirs, beta=0.5):
    won, lost = ratios(own, theirs)
    return ((won - lost - 1 / (2 * beta)) ** 2).mean()


def bco(own, theirs, beta=0.5):
    # The running mean after an earlier batch of 4 rewards whose sum was 3.
    won, lost = (beta * ratio for ratio in ratios(own, theirs))
    shift = ((won.sum() + lost.sum() + 3) / (2 * len(won) + 4)).detach()
    return (-F.logsigmoid(won - shift) - F.logsigmoid(-(lost - shift))).mean()


def with_sft(own, theirs, beta=0.5, weight=0.3):
    won, lost = ratios(own, theirs)
    tokens = torch.cat(own["chosen"])
    return -F.logsigmoid(beta * (won - lost)).mean() - weight * tokens.mean()


def simpo_smoothed(own, _theirs, beta=2.0, gamma=1.0, noise=0.1):
    mean = lambda values: torch.stack([value.mean() for value in values])
    logits = beta * (mean(own["chosen"]) - mean(own["rejected"])) - gamma
    return (-(1 - noise) * F.logsigmoid(logits) - noise * F.logsigmoid(-logits)).mean()


def orpo_answer(own, _theirs, weight=0.5):
    mean = lambda values: torch.stack([value.mean() for value in values])
    odds = lambda x: x - torch.log1p(-torch.exp(x))
    nll = -torch.cat(own["chosen"]).mean()
    return nll - weight * F.logsigmoid(odds(mean(own["chosen"])) - odds(mean(own["rejected"]))).mean()


beta = dict(beta=0.5)
CASES = [
    ({"type": "dpo", "beta": 0.5}, lambda: dpo(loss_type=["sigmoid"], **beta)),
    ({"type": "dpo", "beta": 0.1}, lambda: dpo(loss_type=["sigmoid"], beta=0.1)),
    ({"type": "hinge", "beta": 0.5}, lambda: dpo(loss_type=["hinge"], **beta)),
    ({"type": "ipo", "beta": 0.5}, lambda: dpo(loss_type=["ipo"], **beta)),
    ({"type": "exo", "beta": 0.5, "labelSmoothing": 0.1}, lambda: dpo(loss_type=["exo_pair"], label_smoothing=0.1, **beta)),
    ({"type": "nca", "beta": 0.5}, lambda: dpo(loss_type=["nca_pair"], **beta)),
    ({"type": "robust-dpo", "beta": 0.5, "labelSmoothing": 0.1}, lambda: dpo(loss_type=["robust"], label_smoothing=0.1, **beta)),
    ({"type": "bco", "beta": 0.5, "shift": "none"}, lambda: dpo(loss_type=["bco_pair"], **beta)),
    ({"type": "sppo", "beta": 0.5}, lambda: dpo(loss_type=["sppo_hard"], **beta)),
    ({"type": "aot", "beta": 0.5, "labelSmoothing": 0.1}, lambda: dpo(loss_type=["aot"], label_smoothing=0.1, **beta)),
    ({"type": "aot-unpaired", "beta": 0.5, "labelSmoothing": 0.1}, lambda: dpo(loss_type=["aot_unpaired"], label_smoothing=0.1, **beta)),
    ({"type": "apo-zero", "beta": 0.5}, lambda: dpo(loss_type=["apo_zero"], **beta)),
    ({"type": "apo-down", "beta": 0.5}, lambda: dpo(loss_type=["apo_down"], **beta)),
    ({"type": "discopop", "beta": 0.5, "tau": 0.05}, lambda: dpo(loss_type=["discopop"], discopop_tau=0.05, **beta)),
    ({"type": "dpo-norm", "beta": 2}, lambda: dpo(loss_type=["sigmoid_norm"], beta=2.0)),
    ({"type": "dpo", "beta": 0.5, "sftWeight": 0.3}, lambda: dpo(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.3], **beta)),
    ({"type": "dpo", "beta": 0.5, "weighting": True}, lambda: dpo(loss_type=["sigmoid"], use_weighting=True, **beta)),
    ({"type": "dpo", "beta": 0.5, "tailWeight": 0.4}, lambda: dpo(loss_type=["sigmoid"], ld_alpha=0.4, **beta)),
    ({"type": "ipo", "beta": 0.5, "tailWeight": 0.4}, lambda: dpo(loss_type=["ipo"], ld_alpha=0.4, **beta)),
    ({"type": "aot", "beta": 0.5, "tailWeight": 0.4}, lambda: dpo(loss_type=["aot"], ld_alpha=0.4, **beta)),
    ({"type": "dpo", "beta": 0.5, "divergence": "forward-kl"}, lambda: dpo(loss_type=["sigmoid"], f_divergence_type="forward_kl", **beta)),
    ({"type": "dpo", "beta": 0.5, "divergence": "jensen-shannon"}, lambda: dpo(loss_type=["sigmoid"], f_divergence_type="js_divergence", **beta)),
    ({"type": "ipo", "beta": 0.5, "divergence": "alpha", "divergenceAlpha": 0.3},
     lambda: dpo(loss_type=["ipo"], f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.3, **beta)),
    ({"type": "hinge", "beta": 0.5, "divergence": "forward-kl"}, lambda: dpo(loss_type=["hinge"], f_divergence_type="forward_kl", **beta)),
    ({"type": "kto", "beta": 0.5, "desirableWeight": 1.5, "undesirableWeight": 0.8},
     lambda: kto(MISMATCHED, loss_type="kto", desirable_weight=1.5, undesirable_weight=0.8, **beta)),
    ({"type": "kto", "beta": 0.5, "baseline": "none"}, lambda: kto(MISMATCHED, loss_type="apo_zero_unpaired", **beta)),
    ({"type": "orpo", "lambda": 0.5}, lambda: free("orpo", **beta)),
    ({"type": "cpo", "beta": 0.5, "sftWeight": 0.7}, lambda: free("cpo", loss_type="sigmoid", cpo_alpha=0.7, **beta)),
    ({"type": "cpo", "beta": 0.5, "labelSmoothing": 0.2}, lambda: free("cpo", loss_type="sigmoid", label_smoothing=0.2, **beta)),
    ({"type": "simpo", "beta": 2, "gammaRatio": 0.5}, lambda: free("cpo", loss_type="simpo", cpo_alpha=0.0, simpo_gamma=1.0, beta=2.0)),
    ({"type": "simpo", "beta": 2, "gammaRatio": 0.5, "sftWeight": 0.7}, lambda: free("cpo", loss_type="simpo", cpo_alpha=0.7, simpo_gamma=1.0, beta=2.0)),
    ({"type": "alphapo", "beta": 2, "gammaRatio": 0.5, "alpha": 0.25},
     lambda: free("cpo", loss_type="alphapo", simpo_gamma=1.0, alpha=0.25, beta=2.0)),
    ({"type": "alphapo", "beta": 2, "gammaRatio": 0.5, "alpha": 0}, lambda: free("cpo", loss_type="simpo", cpo_alpha=0.0, simpo_gamma=1.0, beta=2.0)),
    ({"type": "dpo", "beta": 0.5, "labelSmoothing": 0.2}, lambda: formula(conservative)),
    ({"type": "ipo-sum", "beta": 0.5}, lambda: formula(ipo_sum)),
    ({"type": "bco", "beta": 0.5}, lambda: formula(bco)),
    ({"type": "dpo", "beta": 0.5, "sftWeight": 0.3}, lambda: formula(with_sft)),
    ({"type": "simpo", "beta": 2, "gammaRatio": 0.5, "labelSmoothing": 0.1}, lambda: formula(simpo_smoothed)),
    ({"type": "orpo", "lambda": 0.5, "promptLoss": False}, lambda: formula(orpo_answer)),
]
# For each rating the one whose completion follows its prompt: what `mismatchedPairs` gives for seed 10 and step 0; their baseline is above 0.
MISMATCHED = [1, 3, 4, 2, 0]


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


results = []
for config, run in CASES:
    result = run()
    results.append({"config": config, "by": "formula" if not result["metrics"] else "trl", **rounded(result)})
    print(config, result["loss"])
golden = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__, "pairs": pairs, "ratings": ratings, "cases": results}
(here / "preferences.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
