"""Golden values of PPO: TRL 1.9.2, the last with a PPO trainer: rewards of tokens, GAE, whitening, policy and value loss.
Also of GSPO-token, which later versions lack, on the log-probabilities that make-grpo.py has written.

    HF_HUB_OFFLINE=1 python tests/alignment/reinforcement/make-ppo.py

The real `PPOTrainer.train` runs on a tiny model. Its own functions for generation, log-probabilities, scores and values give
invented numbers; what it whitens, averages and differentiates is recorded.
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
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast
from trl.experimental.gspo_token import GRPOTrainer as GspoTokenTrainer
from trl.experimental.ppo import PPOConfig, PPOTrainer
from trl.experimental.ppo import ppo_trainer as module

torch.set_num_threads(1)
OUT = Path(__file__).parent / "golden"
PAD, EOS = 0, 2
vocabulary = {c: i for i, c in enumerate(["<pad>", "<s>", "</s>"] + [chr(i) for i in range(97, 123)])}
raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
raw.decoder = decoders.Fuse()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
tokenizer.padding_side = "left"
tiny = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, max_position_embeddings=64, pad_token_id=PAD, bos_token_id=1, eos_token_id=EOS, num_labels=1,
)
PROMPT, LENGTH = 3, 7
# Finished answers, of at most six tokens, since a seventh would leave no place after the end; and two that were cut off.
ANSWERS = [[5, 6, 7, EOS], [8, 9, 10, 11, 12, EOS], [5, EOS], [6, 7, 8, 9, EOS], [10, 11, 12, 13, 14, 15, 16],
           [20, 21, EOS], [22, 23, 24, 25, 26, 27, 28], [EOS]]
SCORES = [1.5, -0.5, 0.7, 2.0, -1.0, 0.2, 0.9, -0.3]
B = len(ANSWERS)
responses = torch.tensor([row + [PAD] * (LENGTH - len(row)) for row in ANSWERS])


def run(seed, **settings):
    generator = torch.Generator().manual_seed(seed)
    noise = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    logprob = -torch.rand(B, LENGTH, generator=generator) * 3 - 0.05
    reference = logprob + 0.4 * noise(B, LENGTH)
    values = 0.8 * noise(B, PROMPT + LENGTH, 1)
    scores = torch.tensor(SCORES)
    new_logprobs = [(logprob + 0.3 * noise(B, LENGTH)).requires_grad_(True) for _ in range(2)]
    new_values = [(values + 0.4 * noise(B, PROMPT + LENGTH, 1)).requires_grad_(True) for _ in range(2)]
    log_softmaxes, rewards = iter([logprob, reference, *new_logprobs]), iter([values, scores.unsqueeze(1)])
    forwards, whitened, means, order = iter(new_values), [], [], []

    def batch_generation(model, queries, *rest):
        return torch.cat([queries, responses], 1), torch.zeros(B, LENGTH, len(vocabulary))

    def forward(model, ids, pad):
        logits = torch.zeros(B, PROMPT + LENGTH, len(vocabulary))
        if model.__class__.__name__ == "PolicyAndValueWrapper":
            return type("Output", (), {"logits": logits})(), next(forwards)
        return type("Output", (), {"logits": logits})()

    def get_reward(model, ids, pad, context):
        given = next(rewards)
        return given, given.squeeze(1) if given.dim() == 2 else given, None

    true_whiten, true_mean = trl.experimental.ppo.ppo_trainer.masked_whiten, module.masked_mean

    def masked_whiten(given, mask, shift_mean=True):
        found = true_whiten(given, mask, shift_mean)
        whitened.append({"given": given.tolist(), "mask": mask.int().tolist(), "shiftMean": shift_mean, "found": found.tolist()})
        return found

    def masked_mean(given, mask, axis=None):
        found = true_mean(given, mask, axis)
        if len(order) > 0:
            means.append(found.item())
        return found

    def selective_log_softmax(logits, ids):
        if torch.is_grad_enabled():
            order.append("loss")
        return next(log_softmaxes)

    originals = {name: getattr(module, name) for name in
                 ("batch_generation", "forward", "get_reward", "masked_mean", "masked_whiten", "selective_log_softmax")}
    for name in originals:
        setattr(module, name, locals()[name])
    try:
        with tempfile.TemporaryDirectory() as folder:
            args = PPOConfig(
                output_dir=folder, per_device_train_batch_size=B, gradient_accumulation_steps=1, num_mini_batches=1,
                total_episodes=B, num_ppo_epochs=2, response_length=LENGTH, report_to="none", use_cpu=True, bf16=False,
                stop_token="eos", missing_eos_penalty=1.0, num_sample_generations=0, save_strategy="no", logging_steps=1000,
                local_rollout_forward_batch_size=B, gradient_checkpointing=False, learning_rate=0.0, **settings,
            )
            prompts = Dataset.from_list([{"input_ids": [1, 5, 6]}] * B)
            make = lambda kind: kind(tiny)  # noqa: E731
            trainer = PPOTrainer(
                args=args, processing_class=tokenizer, model=make(LlamaForCausalLM), ref_model=make(LlamaForCausalLM),
                reward_model=make(LlamaForSequenceClassification), value_model=make(LlamaForSequenceClassification),
                train_dataset=prompts,
            )
            # The trainer shuffles the answers of each epoch; the invented numbers of an epoch are in their own order.
            module.np.random.permutation = lambda n: module.np.arange(n)
            trainer.accelerator.backward = lambda loss: loss.backward()
            trainer.train()
    finally:
        for name, original in originals.items():
            setattr(module, name, original)
    updates = []
    for i in range(2):
        value_loss, value_clipped, policy_loss, policy_clipped = means[4 * i : 4 * i + 4]
        updates.append({
            "newLogProbs": new_logprobs[i].tolist(),
            "newValues": new_values[i][:, PROMPT - 1 :, 0].tolist(),
            "policyLoss": policy_loss,
            "valueLoss": 0.5 * value_loss,
            "policyClipped": policy_clipped,
            "valueClipped": value_clipped,
            "policyGradient": new_logprobs[i].grad.tolist(),
            "valueGradient": new_values[i].grad[:, PROMPT - 1 :, 0].tolist(),
        })
    return {
        "settings": settings,
        "logProbs": logprob.tolist(),
        "reference": reference.tolist(),
        "values": values[:, PROMPT - 1 :, 0].tolist(),
        # Before the penalty, which the trainer subtracts in place.
        "scores": SCORES,
        "whitened": whitened,
        "updates": updates,
    }


cases = [
    run(1),
    run(2, kl_estimator="k3", gamma=0.97, lam=0.9),
    run(3, whiten_rewards=True, kl_coef=0.2, cliprange=0.1, cliprange_value=0.3, vf_coef=0.5),
]


def gspo_token(low, high):
    tokens = json.loads((OUT / "grpo.json").read_text())["tokens"]
    read = lambda name: torch.tensor(tokens[name], dtype=torch.float64)  # noqa: E731
    new, old = read("new").requires_grad_(True), read("old")
    width = new.shape[1]
    mask = torch.tensor([[float(t < n) for t in range(width)] for n in tokens["lengths"]], dtype=torch.float64)
    used = mask * read("toolMask")
    ids = torch.zeros(len(mask), width, dtype=torch.long)
    same = lambda x, **k: x  # noqa: E731
    trainer = SimpleNamespace(
        args=SimpleNamespace(delta=None), accelerator=SimpleNamespace(gather=same, reduce=same),
        model=SimpleNamespace(training=True), current_gradient_accumulation_steps=1, loss_type="grpo",
        importance_sampling_level="sequence_token", epsilon_low=low, epsilon_high=high, beta=0.0,
        top_entropy_quantile=1.0, use_vllm=False, _metrics=defaultdict(lambda: defaultdict(list)),
        _get_per_token_logps_and_entropies=lambda *a, **k: (new, torch.zeros_like(new), None),
    )
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids, "completion_mask": used,
        "advantages": read("advantages"), "old_per_token_logps": old,
    }
    loss = GspoTokenTrainer._compute_loss(trainer, trainer.model, inputs)
    loss.backward()
    return {"config": {"loss_type": "gspo-token", "low": low, "high": high}, "loss": loss.item(), "gradient": (new.grad * used).tolist()}


golden = {
    "made with": {"trl": trl.__version__, "torch": torch.__version__},
    "answers": ANSWERS,
    "end": EOS,
    "missingEosPenalty": 1.0,
    "cases": cases,
    "gspoToken": [gspo_token(0.1, 0.15), gspo_token(3e-4, 4e-4)],
}
(OUT / "ppo.json").write_text(json.dumps(golden) + "\n")
print(trl.__version__, [len(c["whitened"]) for c in cases], cases[0]["updates"][0]["policyLoss"])
