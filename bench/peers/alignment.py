"""Preference training and reinforcement learning as TRL does them; the peer of bench/alignment.ts.
  python alignment.py FOLDER --job reward|dpo|grpo|rloo --batch N --length T [--answers K --new T] --steps N [--tuned] [--bf16] [--check]
FOLDER holds model, adapter and rows.json, written by bench/alignment/prepare.ts: equal token ids, equal start of the LoRA, put in after the
trainer is built, so that the base with the adapter off stays the reference. fp32, or bf16 autocast, AdamW, constant learning rate, rows in their order.
As installed: TRL's defaults, so with gradient checkpointing. --tuned: without it. Answers have exactly as many tokens as asked for.
--check: one step, with the answers that it learned from. One JSON line."""
import argparse
import json
import os
import resource
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--job", required=True, choices=["reward", "dpo", "grpo", "rloo"])
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--length", type=int, required=True)
parser.add_argument("--answers", type=int, default=4)
parser.add_argument("--new", type=int, default=32)
parser.add_argument("--beta", type=float)
parser.add_argument("--learning-rate", type=float, default=1e-4)
parser.add_argument("--steps", type=int, default=4)
parser.add_argument("--tuned", action="store_true")
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--check", action="store_true")
parser.add_argument("--threads", type=int, default=1)
args = parser.parse_args()

import torch
import transformers
import trl
from datasets import Dataset
from peft import PeftConfig, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

transformers.utils.logging.set_verbosity_error()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
base, adapter = os.path.join(args.folder, "model"), os.path.join(args.folder, "adapter")
tokenizer = AutoTokenizer.from_pretrained(base)
# Not the end token, which is the padding of SmolLM2: transformers reads the score of a text at its last token that is not padding.
tokenizer.pad_token = "<|endoftext|>"
with open(os.path.join(args.folder, "rows.json")) as file:
    rows = json.load(file)


class Clock(TrainerCallback):
    def __init__(self):
        self.steps, self.loss, self.parts = [], None, None

    def on_train_begin(self, *_, **__):
        self.at = time.perf_counter(), time.process_time()

    def on_step_end(self, *_, **__):
        now = time.perf_counter(), time.process_time()
        self.steps.append({"ms": 1e3 * (now[0] - self.at[0]), "cpuMs": 1e3 * (now[1] - self.at[1]), "loss": self.loss})
        if self.parts is not None:
            made = self.parts["rollout"]
            parts = {"generation": self.parts["generation"], "scoring": made - self.parts["generation"]}
            self.steps[-1]["parts"] = {**parts, "training": self.steps[-1]["ms"] - made}
        self.at = now

    def on_log(self, _, __, ___, logs=None, **____):
        if logs and "grad_norm" in logs:
            self.steps[-1]["gradientNorm"] = float(logs["grad_norm"])


clock = Clock()
config = PeftConfig.from_pretrained(adapter)
config.inference_mode = False
shared = dict(per_device_train_batch_size=args.batch, max_steps=args.steps, learning_rate=args.learning_rate, lr_scheduler_type="constant",
              use_cpu=True, bf16=args.bf16, logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, seed=0)
if args.tuned:
    shared["gradient_checkpointing"] = False
samples = args.job in ("grpo", "rloo")


def make(out):
    if samples:
        Config, Trainer = (trl.GRPOConfig, trl.GRPOTrainer) if args.job == "grpo" else (trl.RLOOConfig, trl.RLOOTrainer)
        more = {"loss_type": "grpo"} if args.job == "grpo" else {}
        shared["per_device_train_batch_size"] = args.batch * args.answers
        settings = Config(out, num_generations=args.answers, max_completion_length=args.new, beta=args.beta, shuffle_dataset=False,
                          generation_kwargs={"min_new_tokens": args.new}, **more, **shared)

        def vowels(completions, **_):
            return [sum(letter in "aeiou" for letter in text) / max(1, len(text)) for text in completions]

        prompts = Dataset.from_list([{"prompt": row["text"]} for row in rows["visited"]])
        return Trainer(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), reward_funcs=vowels, args=settings, train_dataset=prompts,
                       processing_class=tokenizer, peft_config=config, callbacks=[clock])
    # Rows that are replaced by equal token ids once the trainer is built.
    texts = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    shared.update(max_length=args.length, train_sampling_strategy="sequential")
    if args.job == "dpo":
        trainer = trl.DPOTrainer(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), args=trl.DPOConfig(out, beta=args.beta, **shared),
                                 train_dataset=texts, processing_class=tokenizer, peft_config=config, callbacks=[clock])
        ids = [{"prompt_ids": row["prompt"], "chosen_ids": row["chosen"], "rejected_ids": row["rejected"]} for row in rows["pairs"]]
    else:
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
        model.config.pad_token_id = tokenizer.pad_token_id
        trainer = trl.RewardTrainer(model, args=trl.RewardConfig(out, **shared), train_dataset=texts, processing_class=tokenizer, peft_config=config,
                                    callbacks=[clock])
        ids = [{"chosen_ids": row["prompt"] + row["chosen"], "rejected_ids": row["prompt"] + row["rejected"]} for row in rows["pairs"]]
    trainer.train_dataset = Dataset.from_list(ids)
    return trainer


def watch(trainer):
    """Keeps the loss of each step before it is rounded, and the time of the parts of a step."""
    answers, compute = [], trainer.compute_loss

    def loss_of(model, inputs, *more, **named):
        result = compute(model, inputs, *more, **named)
        clock.loss = float((result[0] if isinstance(result, tuple) else result).detach())
        if samples and args.check:
            for prompt, mask, completion in zip(inputs["prompt_ids"], inputs["prompt_mask"], inputs["completion_ids"]):
                answers.append({"prompt": prompt[mask.bool()].tolist(), "completion": completion.tolist()})
        return result

    def timed(part, function):
        def go(*given, **named):
            start = time.perf_counter()
            result = function(*given, **named)
            clock.parts[part] = 1e3 * (time.perf_counter() - start)
            return result
        return go

    trainer.compute_loss = loss_of
    if samples:
        clock.parts = {}
        trainer._generate = timed("generation", trainer._generate)
        trainer._generate_and_score_completions = timed("rollout", trainer._generate_and_score_completions)
    return answers


with tempfile.TemporaryDirectory() as out:
    trainer = make(out)
    loaded = set_peft_model_state_dict(trainer.model, load_file(os.path.join(adapter, "adapter_model.safetensors")))
    assert not loaded.unexpected_keys, loaded.unexpected_keys
    answers = watch(trainer)
    trainer.train()
print(json.dumps({"steps": clock.steps, "answers": answers, "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "threads": torch.get_num_threads(), "trained": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)}), flush=True)
