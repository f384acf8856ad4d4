"""Small random checkpoints of transformers' classes with heads, saved as folders, and what they give: logits and the gradient of every parameter.
  python make-heads.py [FAMILY …]   (writes golden/heads/ beside itself)"""
import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from experts import by_expert
from safetensors import safe_open
from safetensors.torch import save_file

B = dict(vocab_size=43, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, max_position_embeddings=16)
D = dict(vocab_size=43, hidden_size=12, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=4, intermediate_size=20, max_position_embeddings=64, pad_token_id=0)
FAMILIES = {
    "Bert": (transformers.BertConfig, B), "Roberta": (transformers.RobertaConfig, {**B, "max_position_embeddings": 18, "pad_token_id": 1, "type_vocab_size": 1}),
    "XLMRoberta": (transformers.XLMRobertaConfig, {**B, "max_position_embeddings": 20, "pad_token_id": 1, "type_vocab_size": 2}), "Camembert": (transformers.CamembertConfig, {**B, "max_position_embeddings": 20, "pad_token_id": 3, "type_vocab_size": 1}),
    "DistilBert": (transformers.DistilBertConfig, dict(vocab_size=43, dim=12, n_layers=2, n_heads=3, hidden_dim=20, max_position_embeddings=16)),
    "Albert": (transformers.AlbertConfig, {**B, "embedding_size": 8, "num_hidden_groups": 2}), "MPNet": (transformers.MPNetConfig, {**B, "max_position_embeddings": 18}),
    "Electra": (transformers.ElectraConfig, {**B, "embedding_size": 8}),
    "GPT2": (transformers.GPT2Config, dict(vocab_size=43, n_embd=12, n_layer=2, n_head=3, n_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=1)),
    "Llama": (transformers.LlamaConfig, D), "Mistral": (transformers.MistralConfig, {**D, "sliding_window": 4, "attn_implementation": "eager"}),
    "Qwen2": (transformers.Qwen2Config, {k: v for k, v in D.items() if k != "head_dim"}), "Qwen3": (transformers.Qwen3Config, {**D, "tie_word_embeddings": True}),
    "Gemma": (transformers.GemmaConfig, D), "Olmo2": (transformers.Olmo2Config, {k: v for k, v in D.items() if k != "head_dim"}),
    "SmolLM3": (transformers.SmolLM3Config, {**{k: v for k, v in D.items() if k != "head_dim"}, "no_rope_layer_interval": 2, "attn_implementation": "eager"}),
    "Gemma3": (transformers.Gemma3TextConfig, {**D, "query_pre_attn_scalar": 7, "sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"], "attn_implementation": "eager"}),
    "Gemma3Text": (transformers.Gemma3TextConfig, {**D, "query_pre_attn_scalar": 7, "sliding_window": 3, "layer_types": ["full_attention", "sliding_attention"], "attn_implementation": "eager"}),
    "Mixtral": (transformers.MixtralConfig, {**D, "intermediate_size": 16, "num_local_experts": 5, "num_experts_per_tok": 2, "experts_implementation": "eager"}),
    "Qwen3Moe": (transformers.Qwen3MoeConfig, {**D, "moe_intermediate_size": 14, "num_experts": 6, "num_experts_per_tok": 3, "norm_topk_prob": True, "decoder_sparse_step": 2, "experts_implementation": "eager"}),
    "Gemma2": (transformers.Gemma2Config, {**D, "query_pre_attn_scalar": 7, "sliding_window": 3, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.5, "attn_implementation": "eager"}),
    "ModernBert": (transformers.ModernBertConfig, dict(vocab_size=43, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, local_attention=6, pad_token_id=0, classifier_pooling="mean",
                                                       classifier_bias=True, norm_bias=True, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2, attn_implementation="eager")),
    "GPTNeoX": (transformers.GPTNeoXConfig, dict(vocab_size=43, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, max_position_embeddings=16, pad_token_id=0,
                                                 rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.5})),
    "Phi3": (transformers.Phi3Config, dict(vocab_size=43, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, intermediate_size=20, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                                           original_max_position_embeddings=64)),
    "T5": (transformers.T5Config, dict(vocab_size=43, d_model=12, d_kv=5, d_ff=20, num_layers=2, num_decoder_layers=1, num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0, eos_token_id=1)),
}
FAMILIES["MT5"] = (transformers.MT5Config, {**FAMILIES["T5"][1], "feed_forward_proj": "gated-gelu"})
cross = dict(vocab_size=43, d_model=12, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3, decoder_attention_heads=2, encoder_ffn_dim=20, decoder_ffn_dim=16, max_position_embeddings=16)
FAMILIES["Bart"] = (transformers.BartConfig, cross)
FAMILIES["MBart"] = (transformers.MBartConfig, {**cross, "scale_embedding": True, "decoder_start_token_id": 2})
FAMILIES["DebertaV2"] = (transformers.DebertaV2Config, {**B, "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False})
ENCODER_DECODERS = ("T5", "MT5", "Bart", "MBart")
# Parameters that have another name in files.
RENAMED = {"lm_head.weight": "embed_out.weight"}
SUFFIXES = {
    "ForMaskedLM": "masked-lm", "LMHeadModel": "causal-lm", "ForCausalLM": "causal-lm", "ForPreTraining": None, "ForConditionalGeneration": "seq2seq-lm", "ForSequenceClassification": "sequence-classification",
    "ForTokenClassification": "token-classification", "ForQuestionAnswering": "question-answering", "ForMultipleChoice": "multiple-choice",
}
DECODERS = {"Mixtral", "Qwen3Moe", "Gemma2", "GPTNeoX", "Phi3", "Gemma", "Gemma3", "Gemma3Text", "Olmo2", "SmolLM3", "GPT2", "Llama", "Mistral", "Qwen2", "Qwen3"}
# Encoders that transformers can also run as decoders; we do not.
SKIPPED = {"BertForCausalLM", "BertLMHeadModel", "RobertaForCausalLM", "ElectraForCausalLM", "BartForCausalLM", "MBartForCausalLM", "XLMRobertaForCausalLM", "CamembertForCausalLM",
           # Classes that also take images.
           "Gemma3ForConditionalGeneration", "Gemma3ForSequenceClassification"}
out = Path(__file__).parent / "golden" / "heads"
if len(sys.argv) == 1:
    shutil.rmtree(out, ignore_errors=True)
for family, (config_class, settings) in FAMILIES.items():
    if len(sys.argv) > 1 and family not in sys.argv[1:]:
        continue
    for suffix, head in SUFFIXES.items():
        name = family + suffix
        kind = getattr(transformers, name, None)
        if kind is None or name in SKIPPED:
            continue
        untied = name in ("T5ForConditionalGeneration", "BertForMaskedLM", "BertForPreTraining", "RobertaForMaskedLM", "XLMRobertaForMaskedLM", "ElectraForMaskedLM", "AlbertForPreTraining", "MPNetForMaskedLM", "DistilBertForMaskedLM")
        for tie in ([True, False] if untied else [None]):
            fields = {**settings, **({"tie_word_embeddings": tie} if tie is not None else {})}
            if "Classification" in suffix:
                fields["id2label"] = {0: "no", 1: "yes", 2: "perhaps"}
                fields["label2id"] = {"no": 0, "yes": 1, "perhaps": 2}
            config = config_class(**fields)
            torch.manual_seed(11)
            model = kind(config).eval()
            for p in model.parameters():
                torch.nn.init.normal_(p, 0, 0.3)
            shape = (2, 3, 8) if suffix == "ForMultipleChoice" else (3, 8)
            ids = torch.randint(4 if family == "Camembert" else 3, 43, shape, generator=torch.Generator().manual_seed(1))
            mask = torch.ones(shape, dtype=torch.long)
            mask[..., 0, 6:] = 0
            if family not in DECODERS and family not in ENCODER_DECODERS and suffix != "ForMultipleChoice":
                mask[1, 3] = 0
            ids = ids.masked_fill(mask == 0, config.pad_token_id or 0)
            if family in ENCODER_DECODERS and suffix == "ForSequenceClassification":
                # The end of the text, before the code of the language in mBART.
                ids = ids.masked_fill((mask.cumsum(-1) == mask.sum(-1, keepdim=True) - int(family == "MBart")) & (mask == 1), config.eos_token_id)
            inputs = {"input_ids": ids, "attention_mask": mask}
            if family in ("Albert", "Bert", "Electra"):
                inputs["token_type_ids"] = (torch.arange(8) > 4).long().expand(shape)
            if suffix == "ForConditionalGeneration":
                inputs["decoder_input_ids"] = torch.randint(0, 43, (3, 5), generator=torch.Generator().manual_seed(3))
            result = model(**inputs)
            logits = result.prediction_logits if hasattr(result, "prediction_logits") else torch.stack((result.start_logits, result.end_logits), -1) if hasattr(result, "start_logits") else result.logits
            golden = {**inputs, "logits": logits}
            weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
            # Padding has no part in a loss. (Their decoders also keep the padding row from learning; ours do not, since it is often the end of text too.)
            if logits.shape[:2] == ids.shape and "decoder_input_ids" not in inputs:
                weights = weights * mask.view(mask.shape + (1,) * (logits.dim() - 2))
            loss = (logits * weights).sum()
            relation = getattr(result, "seq_relationship_logits", getattr(result, "sop_logits", None))
            if relation is not None:
                golden["relation"] = relation
                loss = loss + (golden["relation"] * torch.tensor([1.5, -0.5])).sum()
            golden["weights"] = weights
            loss.backward()
            folder = out / (name + ("-untied" if tie is False else ""))
            model.save_pretrained(folder)
            seen = set()
            # A tied tensor goes by the name that is in the file, whichever the class declares first.
            with safe_open(folder / "model.safetensors", "pt") as file:
                stored = set(file.keys())
            for key, p in model.named_parameters(remove_duplicate=False):
                if p.grad is None or id(p) in seen:
                    continue
                for name, grad in by_expert({key: p.grad}, config.model_type).items():
                    name = RENAMED.get(name, name) if name not in stored else name
                    if name in stored:
                        seen.add(id(p))
                        golden["grad." + name] = grad
            save_file({k: v.detach().clone().contiguous() for k, v in golden.items()}, folder / "expected.safetensors")
            (folder / "generation_config.json").unlink(missing_ok=True)
            fields = json.loads((folder / "config.json").read_text())
            # BART writes three labels for every class.
            if "Classification" not in suffix:
                fields = {key: value for key, value in fields.items() if key not in ("id2label", "label2id")}
            fields["a_field_of_theirs"] = {"kept": [1, None]}
            (folder / "config.json").write_text(json.dumps(fields, indent=1))
