"""Makes golden/answers.json: a small llama, conversations, and what TRL and transformers make of them.

    python make-answers.py

Needs torch, transformers and trl (made with torch 2.13, transformers 5.24, trl 1.16). The tokenizer is that of chat-tokenizer.ts,
written to golden/answers/tokenizer.json by `npx tsx tests/tasks/write-chat-tokenizer.ts`.
"""
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

here = Path(__file__).parent / "golden" / "answers"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
    "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONVERSATIONS = [
    [("user", "hi"), ("assistant", "ho")],
    [("system", "Be kind."), ("user", "hi hi"), ("assistant", "ho ho"), ("user", "and more?"), ("assistant", "no ho.")],
    [("user", "a longer question about hi and ho"), ("assistant", "ho\nho")],
]


def main() -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(here / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<pad>", bos_token="<s>"
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, tie_word_embeddings=False, initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(here / "model")
    rows = [{"messages": [{"role": role, "content": content} for role, content in turns]} for turns in CONVERSATIONS]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir="/tmp/tunesmith-trl", per_device_train_batch_size=len(rows), assistant_only_loss=True, report_to=[],
            use_cpu=True, bf16=False, max_length=None, gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
    labels = batch["labels"]
    with torch.no_grad():
        loss = model(**{key: value for key, value in batch.items() if key != "labels"}, labels=labels).loss.item()
        trl_loss = trainer.compute_loss(model, dict(batch)).item()
    answers = {
        "template": TEMPLATE,
        "conversations": [row["messages"] for row in rows],
        "ids": [[id for id, seen in zip(ids, mask) if seen] for ids, mask in zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist())],
        "labels": [[id for id, seen in zip(ids, mask) if seen] for ids, mask in zip(labels.tolist(), batch["attention_mask"].tolist())],
        "loss": loss,
        "trlLoss": trl_loss,
    }
    (here / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    print(loss, trl_loss, file=sys.stderr)


main()
