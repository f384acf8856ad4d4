"""Small random bases, PEFT adapters over them, and what they give: logits, and gradients of every trained tensor.
  python make-peft.py   (writes golden/ beside itself; needs transformers and peft)"""
import json
import shutil
import sys
import warnings
from pathlib import Path

import torch
from peft import AdaLoraConfig, IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, PeftModel, VeraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          RobertaConfig, RobertaForTokenClassification, T5Config, T5ForConditionalGeneration)

warnings.filterwarnings("ignore")
small = dict(vocab_size=61, hidden_size=24, num_hidden_layers=2, intermediate_size=40)
BASES = {
    "bert": (BertForSequenceClassification, BertConfig(**small, num_attention_heads=3, max_position_embeddings=32, num_labels=3), TaskType.SEQ_CLS),
    "roberta": (RobertaForTokenClassification, RobertaConfig(**small, num_attention_heads=3, max_position_embeddings=32, pad_token_id=1, type_vocab_size=1, num_labels=5), TaskType.TOKEN_CLS),
    "gpt2": (GPT2LMHeadModel, GPT2Config(vocab_size=61, n_embd=24, n_layer=2, n_head=3, n_positions=32, bos_token_id=0, eos_token_id=0), TaskType.CAUSAL_LM),
    "llama": (LlamaForCausalLM, LlamaConfig(**small, num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=64), TaskType.CAUSAL_LM),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**small, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True), TaskType.CAUSAL_LM),
    "t5": (T5ForConditionalGeneration, T5Config(vocab_size=61, d_model=24, d_kv=8, d_ff=40, num_layers=2, num_heads=3, decoder_start_token_id=0), TaskType.SEQ_2_SEQ_LM),
}
ALL = {"gpt2": ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"], "llama": "all-linear", "bert": ["query", "key", "value", "attention.output.dense", "intermediate.dense"]}
# PEFT has no prefix for encoders: they take no keys of earlier tokens.
CASES = {
    **{f"{base}-lora": (base, lambda base, task: LoraConfig(r=3, lora_alpha=5, task_type=task)) for base in BASES},
    "bert-dora": ("bert", lambda base, task: LoraConfig(r=3, lora_alpha=5, use_dora=True, task_type=task, target_modules=ALL["bert"])),
    "gpt2-dora": ("gpt2", lambda base, task: LoraConfig(r=3, use_dora=True, task_type=task, target_modules=ALL["gpt2"], fan_in_fan_out=True)),
    "llama-rslora": ("llama", lambda base, task: LoraConfig(r=4, lora_alpha=6, use_rslora=True, task_type=task, target_modules=ALL["llama"],
                                                           rank_pattern={"q_proj": 2}, alpha_pattern={"layers.1.mlp.up_proj": 12})),
    # Patterns are expressions of the end of a module name: "^self_attn.v_proj" matches none.
    "llama-patterns": ("llama", lambda base, task: LoraConfig(r=3, lora_alpha=5, task_type=task, target_modules=["q_proj", "v_proj"],
                                                             rank_pattern={r"model\.layers\.[01]\.self_attn\.q_proj": 2},
                                                             alpha_pattern={"^self_attn.v_proj": 50, r"^model\.layers\.(0|3)\..*": 9, "layers.1.self_attn.q_proj$": 12})),
    # Names of T5's modules have two numbers, of which the first is the layer.
    "t5-layers": ("t5", lambda base, task: LoraConfig(r=2, task_type=task, target_modules=["q", "wo"], layers_to_transform=[1])),
    # Tied and untied output layers: rows of some tokens beside the low-rank matrices.
    "qwen2-tokens": ("qwen2", lambda base, task: LoraConfig(r=2, task_type=task, trainable_token_indices=[5, 17, 60])),
    "gpt2-tokens": ("gpt2", lambda base, task: LoraConfig(r=2, task_type=task, fan_in_fan_out=True, trainable_token_indices=[60])),
    "llama-tokens": ("llama", lambda base, task: LoraConfig(r=2, task_type=task, trainable_token_indices={"embed_tokens": [9, 4], "lm_head": [9, 4]})),
    # Output layers of their own and tied ones; PEFT also stores them as they are in the base.
    "llama-output": ("llama", lambda base, task: LoraConfig(r=2, task_type=task, target_modules=["v_proj", "lm_head"])),
    "qwen2-output": ("qwen2", lambda base, task: LoraConfig(r=2, task_type=task, use_dora=True, target_modules=["q_proj", "lm_head"])),
    # Rows of the embeddings alone beside an output layer of its own.
    "llama-embedded-rows": ("llama", lambda base, task: LoraConfig(r=2, task_type=task, target_modules=["v_proj", "lm_head"], trainable_token_indices={"embed_tokens": [9, 4]})),
    # The token embeddings, of which PEFT also stores the base's; a tied output layer keeps that table.
    "bert-embedding": ("bert", lambda base, task: LoraConfig(r=3, lora_alpha=5, task_type=task, target_modules=["query", "word_embeddings"], rank_pattern={"word_embeddings": 2})),
    "qwen2-embedding": ("qwen2", lambda base, task: LoraConfig(r=2, lora_alpha=3, use_rslora=True, task_type=task, target_modules=["embed_tokens", "v_proj"])),
    "gpt2-embedding": ("gpt2", lambda base, task: LoraConfig(r=4, task_type=task, target_modules=["wte"])),
    "llama-embedding": ("llama", lambda base, task: LoraConfig(r=2, task_type=task, target_modules=["embed_tokens", "lm_head", "q_proj"])),
    # PEFT has LoHa and LoKr for nn.Linear alone, so not for GPT-2.
    "bert-loha": ("bert", lambda base, task: LoHaConfig(r=3, alpha=5, task_type=task, target_modules=ALL["bert"])),
    "t5-loha": ("t5", lambda base, task: LoHaConfig(r=2, task_type=task, target_modules=["q", "v", "wo"])),
    "llama-lokr": ("llama", lambda base, task: LoKrConfig(r=1, alpha=5, decompose_both=True, task_type=task, target_modules=ALL["llama"])),
    "bert-lokr": ("bert", lambda base, task: LoKrConfig(r=2, decompose_factor=4, task_type=task, target_modules=ALL["bert"])),
    "llama-vera": ("llama", lambda base, task: VeraConfig(r=6, d_initial=0.2, projection_prng_key=5, task_type=task, target_modules=ALL["llama"])),
    "gpt2-vera": ("gpt2", lambda base, task: VeraConfig(r=5, task_type=task, target_modules=ALL["gpt2"], fan_in_fan_out=True)),
    "bert-adalora": ("bert", lambda base, task: AdaLoraConfig(init_r=4, target_r=2, total_step=8, tinit=1, tfinal=2, lora_alpha=6, task_type=task, target_modules=ALL["bert"])),
    "gpt2-adalora": ("gpt2", lambda base, task: AdaLoraConfig(init_r=3, target_r=1, total_step=6, deltaT=2, beta1=0.7, orth_reg_weight=0.1, task_type=task, target_modules=ALL["gpt2"], fan_in_fan_out=True)),
    "bert-oft": ("bert", lambda base, task: OFTConfig(r=0, oft_block_size=8, task_type=task, target_modules=ALL["bert"])),
    "llama-oft": ("llama", lambda base, task: OFTConfig(r=0, oft_block_size=12, block_share=True, num_cayley_neumann_terms=3, task_type=task, target_modules=ALL["llama"])),
    **{f"{base}-ia3": (base, lambda base, task: IA3Config(task_type=task)) for base in BASES},
    **{f"{base}-prefix": (base, lambda base, task: PrefixTuningConfig(num_virtual_tokens=4, task_type=task)) for base in ("gpt2", "llama", "qwen2", "t5")},
    "gpt2-prefix-projected": ("gpt2", lambda base, task: PrefixTuningConfig(num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=10, task_type=task)),
    **{f"{base}-prompt": (base, lambda base, task: PromptTuningConfig(num_virtual_tokens=4, task_type=task)) for base in ("bert", "roberta", "gpt2", "llama", "qwen2")},
    # Unless told so, PEFT draws as many vectors again, for the decoder, and does not use them.
    "t5-prompt": ("t5", lambda base, task: PromptTuningConfig(num_virtual_tokens=4, num_transformer_submodules=1, task_type=task)),
}
out = Path(__file__).parent / "golden"


def allocated(model, inputs, folder):
    """The model after steps with allocation, as PEFT's files have it: with the components that are kept. The steps go to allocation.safetensors."""
    config = model.peft_config["default"]
    factors = {key: p for key, p in model.named_parameters() if "lora_" in key}
    steps = {f"start.{key.replace('.default', '')}": p.detach().clone() for key, p in factors.items()}
    weights = torch.randn(model(**inputs).logits.shape, generator=torch.Generator().manual_seed(9))
    if weights.ndim == 3:
        weights = weights * inputs["attention_mask"][..., None]
    for step in range(1, config.total_step + 1):
        model.zero_grad()
        loss = (model.model(**inputs).logits * weights).square().mean()
        # As AdaLoraModel.forward adds it to the loss of labels.
        norms = [torch.norm((p @ p.T if "lora_A" in key else p.T @ p) - torch.eye(min(p.shape))) for key, p in factors.items() if "lora_E" not in key]
        loss = loss + config.orth_reg_weight * sum(norms) / len(norms)
        loss.backward()
        with torch.no_grad():
            for p in factors.values():
                p -= 0.05 * p.grad
        model.base_model.update_and_allocate(step)
        steps[f"loss.{step}"] = loss.detach()
        for key, p in factors.items():
            if "lora_E" in key:
                steps[f"values.{step}.{key.replace('.default', '')}"] = p.detach().clone()
    for key, p in factors.items():
        steps[f"end.{key.replace('.default', '')}"] = p.detach().clone()
    model.save_pretrained(folder)
    save_file({**steps, "weights": weights.contiguous()}, folder / "allocation.safetensors")
    base = type(model.get_base_model()).from_pretrained(out / "bases" / folder.name.split("-")[0])
    return PeftModel.from_pretrained(base, folder, is_trainable=True).eval()


only = sys.argv[1:]
for name, (kind, config, _) in BASES.items():
    torch.manual_seed(7)
    model = kind(config)
    for p in model.parameters():
        torch.nn.init.normal_(p, 0, 0.2)
    model.tie_weights()
    model.save_pretrained(out / "bases" / name)
    for extra in ("generation_config.json",):
        (out / "bases" / name / extra).unlink(missing_ok=True)
for name, (base, make) in CASES.items():
    if only and name not in only:
        continue
    kind, _, task = BASES[base]
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(3)
    model = kind.from_pretrained(out / "bases" / base)
    model = get_peft_model(model, make(base, task))
    for key, p in model.named_parameters():
        if p.requires_grad:
            with torch.no_grad():
                p.add_(torch.randn(p.shape) * (0.1 if "oft_" in key else 0.3)) if "magnitude" not in key else p.mul_(1 + 0.2 * torch.rand(p.shape))
    model.eval()
    ids = torch.randint(2, 61, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    if base == "roberta":
        ids[1, 5:] = 1
    inputs = dict(input_ids=ids, attention_mask=mask)
    extra = {}
    if task == TaskType.SEQ_2_SEQ_LM:
        extra["decoder_input_ids"] = torch.randint(2, 61, (2, 5), generator=torch.Generator().manual_seed(2))
    if name.endswith("-adalora"):
        model = allocated(model, inputs, folder)
    logits = model(**inputs, **extra).logits
    if logits.ndim == 3 and name.endswith("-prompt") and task != TaskType.SEQ_2_SEQ_LM:
        logits = logits[:, 4:]
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(4))
    if logits.ndim == 3 and logits.shape[1] == 7:
        weights = weights * mask[..., None]  # What padding gives is nobody's business.
    (logits * weights).sum().backward()
    grads = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
    # Gradients go by the keys that PEFT's own files have.
    named = {key.replace(".default", "").replace(".modules_to_save", "").replace("lora_magnitude_vector.weight", "lora_magnitude_vector").replace("prompt_encoder.embedding.weight", "prompt_embeddings"): g for key, g in grads.items() if g is not None}
    if name.endswith("-projected"):
        named = {}  # Its files hold what the network gave, not the network.
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config_path = folder / "adapter_config.json"
    fields = json.loads(config_path.read_text())
    fields["base_model_name_or_path"] = f"../bases/{base}"
    config_path.write_text(json.dumps(fields, indent=2, sort_keys=True))
    save_file({"ids": ids, "mask": mask, "logits": logits.detach().contiguous(), "weights": weights, **extra,
               **{f"gradient.{key}": g.contiguous() for key, g in named.items()}}, folder / "expected.safetensors")
    print(name, tuple(logits.shape), sorted(named)[:2])

# What PiSSA and OLoRA put into the low-rank matrices and take off the base: their products, since signs of factors are free.
products = {}
for base in ("llama", "gpt2"):
    for init in ("pissa", "olora"):
        # PEFT's OLoRA decomposes the transposed matrix of GPT-2's layers, whose factors then do not fit.
        if only and "inits" not in only or (base, init) == ("gpt2", "olora"):
            continue
        kind, _, task = BASES[base]
        model = kind.from_pretrained(out / "bases" / base)
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, init_lora_weights=init, rank_pattern={ALL[base][0] if base == "gpt2" else "q_proj": 3}, task_type=task, target_modules=ALL[base], fan_in_fan_out=base == "gpt2"))
        for name, module in model.named_modules():
            if hasattr(module, "lora_A") and len(module.lora_A) > 0:
                a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
                products[f"{base}.{init}.{name.removeprefix('base_model.model.')}"] = (b @ a * module.scaling["default"]).detach().contiguous()
if products:
    save_file(products, Path(__file__).parent / "golden" / "bases" / "initial-products.safetensors")
