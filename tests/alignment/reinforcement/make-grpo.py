"""Golden values of policy losses and advantages: TRL 1.16 (GRPO, RLOO, GMPO). Run with the Python of bench/peers:

    HF_HUB_OFFLINE=1 python tests/alignment/reinforcement/make-grpo.py

Losses: TRL's own `_compute_loss` on invented log-probabilities, with the gradient of the loss with respect to them.
Advantages: TRL's own trainers on a tiny model with the rewards injected.
"""

import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.experimental.gmpo import GMPOTrainer
from trl.rewards import get_soft_overlong_punishment

torch.set_num_threads(1)
OUT = Path(__file__).parent / "golden"
generator = torch.Generator().manual_seed(17)


def noise(*shape, scale=1.0):
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


LENGTHS = [5, 3, 7, 4, 6, 1]
B, T = len(LENGTHS), max(LENGTHS)
mask = torch.tensor([[1.0 if t < n else 0.0 for t in range(T)] for n in LENGTHS], dtype=torch.float64)
# Tool output inside the third answer.
tool_mask = torch.ones(B, T, dtype=torch.float64)
tool_mask[2, 2:4] = 0
new = -torch.rand(B, T, generator=generator, dtype=torch.float64) * 3 - 0.05
old = new + noise(B, T, scale=0.35)
reference = new + noise(B, T, scale=0.5)
sampling = old + noise(B, T, scale=0.3)
entropies = torch.rand(B, T, generator=generator, dtype=torch.float64) * 2
advantages = torch.tensor([1.2, -0.7, 0.4, -1.5, 0.9, -0.3], dtype=torch.float64)


def fake_trainer(config):
    args = SimpleNamespace(
        delta=config.get("delta"),
        use_bias_correction_kl=config.get("bias_correction", False),
        sapo_temperature_pos=1.0,
        sapo_temperature_neg=1.05,
        steps_per_generation=1,
    )
    accelerator = SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        reduce=lambda x, reduction=None: x,
        pad_across_processes=lambda x, dim=0, pad_index=0: x,
    )
    return SimpleNamespace(
        args=args,
        accelerator=accelerator,
        model=SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1,
        loss_type=config["loss_type"],
        importance_sampling_level=config.get("level", "token"),
        epsilon_low=config.get("low", 0.2),
        epsilon_high=config.get("high", 0.2),
        beta=config.get("beta", 0.0),
        max_completion_length=10,
        top_entropy_quantile=config.get("top_entropy", 1.0),
        off_policy_mask_threshold=config.get("off_policy"),
        use_vllm="importance" in config,
        vllm_importance_sampling_correction=True,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
    )


def importance_ratio(setting):
    level, beyond, cap = setting
    used = mask * tool_mask
    difference = (old - sampling) * used
    ratio = torch.exp(difference if level == "token" else difference.sum(-1, keepdim=True))
    return ratio.clamp(max=cap) if beyond == "truncate" else ratio.masked_fill(ratio > cap, 0.0)


def loss_case(config, trainer_class=GRPOTrainer):
    leaf = new.clone().requires_grad_(True)
    trainer = fake_trainer(config)
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (leaf, entropies, None)
    trainer.get_high_entropy_mask = lambda *a: GRPOTrainer.get_high_entropy_mask(trainer, *a)
    trainer.get_off_policy_mask = GRPOTrainer.get_off_policy_mask
    ids = torch.zeros(B, T, dtype=torch.long)
    used = mask * tool_mask
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": ids[:, :1] + 1,
        "completion_ids": ids,
        "completion_mask": mask,
        "tool_mask": tool_mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": used.sum(),
    }
    if "importance" in config:
        inputs["importance_sampling_ratio"] = importance_ratio(config["importance"])
        inputs["sampling_per_token_logps"] = sampling
    loss = trainer_class._compute_loss(trainer, trainer.model, inputs)
    loss.backward()
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    keep = {k: v for k, v in metrics.items() if k in ("kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean")}
    return {"config": config, "loss": loss.item(), "gradient": (leaf.grad * used).tolist(), "metrics": keep}


def rloo_case(config):
    leaf = new.clone().requires_grad_(True)
    trainer = fake_trainer({"loss_type": "rloo", **config})
    trainer._get_per_token_logps_and_entropies = lambda *a, **k: (leaf, entropies, None)
    ids = torch.zeros(B, T, dtype=torch.long)
    used = mask * tool_mask
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": ids[:, :1] + 1,
        "completion_ids": ids,
        "completion_mask": used,
        "old_logps": (old * used).sum(1),
        "advantages": advantages,
    }
    loss = RLOOTrainer._compute_loss(trainer, trainer.model, inputs)
    loss.backward()
    return {"config": {"loss_type": "rloo", **config}, "loss": loss.item(), "gradient": (leaf.grad * used).tolist()}


loss_cases = [
    loss_case(c)
    for c in [
        {"loss_type": "grpo"},
        {"loss_type": "grpo", "low": 0.1, "high": 0.3},
        {"loss_type": "grpo", "delta": 1.5},
        {"loss_type": "grpo", "beta": 0.04},
        {"loss_type": "grpo", "beta": 0.04, "bias_correction": True},
        {"loss_type": "dr_grpo"},
        {"loss_type": "dr_grpo", "beta": 0.1, "bias_correction": True},
        {"loss_type": "dapo", "high": 0.28},
        {"loss_type": "dapo", "high": 0.28, "beta": 0.02},
        {"loss_type": "cispo", "high": 1.1},
        {"loss_type": "cispo", "high": 5.0},
        {"loss_type": "sapo"},
        {"loss_type": "grpo", "level": "sequence", "low": 0.1, "high": 0.15},
        {"loss_type": "luspo", "level": "sequence", "low": 0.1, "high": 0.15},
        {"loss_type": "grpo", "level": "sequence", "low": 0.1, "high": 0.15, "beta": 0.05, "bias_correction": True},
        {"loss_type": "grpo", "off_policy": 0.05},
        {"loss_type": "dapo", "top_entropy": 0.4},
        {"loss_type": "dapo", "importance": ["token", "truncate", 1.2]},
        {"loss_type": "dapo", "importance": ["token", "mask", 1.2]},
        {"loss_type": "grpo", "importance": ["sequence", "truncate", 1.1], "beta": 0.03},
        {"loss_type": "grpo", "importance": ["sequence", "mask", 1.1]},
    ]
]
loss_cases.append(loss_case({"loss_type": "gmpo", "low": 0.3, "high": 0.2}, GMPOTrainer))
loss_cases += [rloo_case({}), rloo_case({"low": 0.05, "high": 0.5})]

# Advantages by the real trainers, with injected rewards.
vocabulary = {c: i for i, c in enumerate(["<pad>", "<s>", "</s>"] + [chr(i) for i in range(97, 123)])}
raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
raw.decoder = decoders.Fuse()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
torch.manual_seed(0)
tiny = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
GROUP = 4
rewards_one = torch.tensor([[1.0], [0.0], [0.5], [0.5], [0.1], [0.1], [0.1], [0.1], [2.0], [-1.0], [float("nan")], [3.0]])
second = torch.tensor([10.0, 30.0, 20.0, 20.0, 5.0, 6.0, 7.0, float("nan"), 1.0, 1.0, float("nan"), 1.0])
rewards_two = torch.cat([rewards_one, second.unsqueeze(1)], 1)
prompts = Dataset.from_list([{"prompt": "ab"}, {"prompt": "cde"}, {"prompt": "f"}])


def advantage_case(kind, rewards, **settings):
    config_class, trainer_class = (GRPOConfig, GRPOTrainer) if kind == "grpo" else (RLOOConfig, RLOOTrainer)
    with tempfile.TemporaryDirectory() as folder:
        args = config_class(
            output_dir=folder, per_device_train_batch_size=12, num_generations=GROUP, max_completion_length=3,
            report_to="none", bf16=False, use_cpu=True, beta=0.0, reward_weights=[1.0, 0.25][: rewards.shape[1]],
            gradient_checkpointing=False, **settings,
        )
        functions = [lambda completions, **k: [0.0] * len(completions) for _ in range(rewards.shape[1])]
        for i, function in enumerate(functions):
            function.__name__ = f"reward{i}"
        trainer = trainer_class(
            model=LlamaForCausalLM(tiny), reward_funcs=functions, args=args, train_dataset=prompts,
            processing_class=tokenizer,
        )
        trainer._calculate_rewards = lambda *a, **k: rewards.clone()
        trainer.model.train()
        batch = [{"prompt": row["prompt"]} for row in prompts for _ in range(GROUP)]
        found = trainer._generate_and_score_completions(batch)["advantages"]
    as_list = [[None if v != v else v for v in row] for row in rewards.tolist()]
    return {"kind": kind, "settings": settings, "rewards": as_list, "advantages": found.tolist()}


advantage_cases = [
    advantage_case("grpo", rewards_one, scale_rewards="group"),
    advantage_case("grpo", rewards_one, scale_rewards="batch"),
    advantage_case("grpo", rewards_one, scale_rewards="none"),
    advantage_case("grpo", rewards_two, scale_rewards="group"),
    advantage_case("grpo", rewards_two, multi_objective_aggregation="normalize_then_sum"),
    advantage_case("rloo", rewards_one),
    advantage_case("rloo", rewards_two, normalize_advantages=True),
    advantage_case("rloo", rewards_two, reward_clip_range=(-0.5, 2.0)),
]

lengths = list(range(0, 31, 3))
overlong = get_soft_overlong_punishment(max_completion_len=24, soft_punish_cache=10)
golden = {
    "made with": {"trl": trl.__version__, "torch": torch.__version__},
    "tokens": {
        "lengths": LENGTHS,
        "toolMask": tool_mask.tolist(),
        "new": new.tolist(),
        "old": old.tolist(),
        "reference": reference.tolist(),
        "sampling": sampling.tolist(),
        "entropies": entropies.tolist(),
        "advantages": advantages.tolist(),
    },
    "losses": loss_cases,
    "advantages": {"group": GROUP, "weights": [1.0, 0.25], "cases": advantage_cases},
    "overlong": {"lengths": lengths, "penalties": overlong([[0] * n for n in lengths])},
}
(OUT / "grpo.json").write_text(json.dumps(golden) + "\n")
print(trl.__version__, len(loss_cases), "losses,", len(advantage_cases), "advantages")
