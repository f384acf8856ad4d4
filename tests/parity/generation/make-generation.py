"""Small random language models of transformers, and what `generate` makes of them: greedy, beams, penalties, processed scores.
  python make-generation.py [CASE …]   (writes golden/ beside itself)"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parent.parent / "models"))
from experts import by_expert
from transformers import (BartConfig, BartForConditionalGeneration, MBartConfig, MBartForConditionalGeneration, GPTNeoXConfig, GPTNeoXForCausalLM, Phi3Config, Phi3ForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, Olmo2Config, Olmo2ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM,
                          GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM,
                          T5Config, T5ForConditionalGeneration)

small = dict(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40)
cross = dict(vocab_size=61, d_model=24, max_position_embeddings=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=40, decoder_ffn_dim=40, forced_eos_token_id=None)
CASES = {
    "gpt2": (GPT2LMHeadModel, GPT2Config(vocab_size=61, n_embd=24, n_layer=2, n_head=3, n_positions=64, bos_token_id=0, eos_token_id=0)),
    "llama": (LlamaForCausalLM, LlamaConfig(**{**small, "num_attention_heads": 6}, max_position_embeddings=64)),
    "mistral": (MistralForCausalLM, MistralConfig(**small, head_dim=8, sliding_window=5, tie_word_embeddings=True)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig(**small, head_dim=10, sliding_window=5, query_pre_attn_scalar=7, layer_types=["sliding_attention", "full_attention"], bos_token_id=0, eos_token_id=0)),
    "mixtral": (MixtralForCausalLM, MixtralConfig(**{**small, "intermediate_size": 20}, num_local_experts=5, num_experts_per_tok=2, experts_implementation="eager")),
    "qwen3-moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig(**small, head_dim=10, moe_intermediate_size=14, num_experts=7, num_experts_per_tok=3, norm_topk_prob=True, mlp_only_layers=[0], experts_implementation="eager")),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config(**small, head_dim=10, sliding_window=5, query_pre_attn_scalar=7, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, bos_token_id=0, eos_token_id=0, attn_implementation="eager")),
    "olmo2": (Olmo2ForCausalLM, Olmo2Config(**small, pad_token_id=0, eos_token_id=0)),
    "smollm3": (SmolLM3ForCausalLM, SmolLM3Config(**small, no_rope_layer_interval=2, pad_token_id=0, bos_token_id=0, eos_token_id=0)),
    "gpt-neox": (GPTNeoXForCausalLM, GPTNeoXConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, bos_token_id=0, eos_token_id=0,
                                                   rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.5})),
    "phi3": (Phi3ForCausalLM, Phi3Config(**{**small, "hidden_size": 32}, pad_token_id=0, bos_token_id=0, eos_token_id=0,
                                         rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.75})),
    "bart": (BartForConditionalGeneration, BartConfig(**cross)),
    "mbart": (MBartForConditionalGeneration, MBartConfig(**cross, scale_embedding=True, decoder_start_token_id=2)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**small, head_dim=10, tie_word_embeddings=True)),
    "t5": (T5ForConditionalGeneration, T5Config(vocab_size=61, d_model=24, d_kv=10, d_ff=40, num_layers=2, num_heads=3,
                                                relative_attention_num_buckets=8, relative_attention_max_distance=12, decoder_start_token_id=0)),
}
PROMPTS = [[5, 17, 3, 42, 8, 8, 30], [11, 2, 9, 50], [1, 33, 33, 7, 21, 14, 60, 4, 4, 19, 28]]
EOS = [12, 40]
# Names in transformers, and ours.
RUNS = [
    ({"max_new_tokens": 24}, {"maxNewTokens": 24}),
    ({"max_new_tokens": 24, "eos_token_id": list(range(0, 61, 7))}, {"maxNewTokens": 24, "eosTokenIds": list(range(0, 61, 7))}),
    ({"max_new_tokens": 20, "repetition_penalty": 1.6}, {"maxNewTokens": 20, "repetitionPenalty": 1.6}),
    ({"max_new_tokens": 20, "no_repeat_ngram_size": 2, "eos_token_id": list(range(0, 61, 5)), "min_new_tokens": 6},
     {"maxNewTokens": 20, "noRepeatNgramSize": 2, "eosTokenIds": list(range(0, 61, 5)), "minNewTokens": 6}),
    ({"max_new_tokens": 12, "suppress_tokens": list(range(20, 50))}, {"maxNewTokens": 12, "suppressTokenIds": list(range(20, 50))}),
    ({"max_new_tokens": 14, "num_beams": 4, "eos_token_id": EOS}, {"maxNewTokens": 14, "numBeams": 4, "eosTokenIds": EOS}),
    ({"max_new_tokens": 14, "num_beams": 3, "eos_token_id": list(range(0, 61, 6)), "length_penalty": 2.0, "early_stopping": True, "num_return_sequences": 3},
     {"maxNewTokens": 14, "numBeams": 3, "eosTokenIds": list(range(0, 61, 6)), "lengthPenalty": 2.0, "earlyStopping": True, "numReturnSequences": 3}),
    ({"max_new_tokens": 14, "num_beams": 5, "eos_token_id": list(range(0, 61, 9)), "length_penalty": 0.5, "early_stopping": "never", "num_return_sequences": 2},
     {"maxNewTokens": 14, "numBeams": 5, "eosTokenIds": list(range(0, 61, 9)), "lengthPenalty": 0.5, "earlyStopping": "never", "numReturnSequences": 2}),
    ({"max_new_tokens": 10, "num_beams": 2, "eos_token_id": EOS, "length_penalty": -1.0, "repetition_penalty": 1.4, "num_return_sequences": 2},
     {"maxNewTokens": 10, "numBeams": 2, "eosTokenIds": EOS, "lengthPenalty": -1.0, "repetitionPenalty": 1.4, "numReturnSequences": 2}),
]
SAMPLING = [
    ({"temperature": 0.6, "top_k": 0}, {"temperature": 0.6}),
    ({"top_k": 7}, {"topK": 7}),
    ({"top_k": 0, "top_p": 0.7}, {"topP": 0.7}),
    ({"top_k": 0, "min_p": 0.2}, {"minP": 0.2}),
    ({"temperature": 1.7, "top_k": 20, "top_p": 0.8, "min_p": 0.15, "repetition_penalty": 1.3},
     {"temperature": 1.7, "topK": 20, "topP": 0.8, "minP": 0.15, "repetitionPenalty": 1.3}),
]


def until_end(row, ends):
    for i, token in enumerate(row):
        if token in ends:
            return row[:i + 1]
    return row


out = Path(__file__).parent / "golden"
out.mkdir(exist_ok=True)
for name, (kind, config) in CASES.items():
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    torch.manual_seed(11)
    model = kind(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    model.eval()
    encoder = config.is_encoder_decoder
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    save_file({k: v.contiguous() for k, v in by_expert(model.state_dict(), config.model_type).items() if not k.endswith(("coder.embed_tokens.weight", "final_logits_bias"))
               and not (k == "lm_head.weight" and config.tie_word_embeddings)}, out / f"{name}.safetensors")
    runs, processed = [], []
    for theirs, ours in RUNS:
        texts, scores = [], []
        for prompt in PROMPTS:
            ids = torch.tensor([prompt])
            made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, return_dict_in_generate=True, output_scores=True, **theirs)
            start = 1 if encoder else len(prompt)
            # A short beam is filled up; what it was filled with is no part of it.
            lengths = (made.beam_indices >= 0).sum(-1).tolist() if theirs.get("num_beams", 1) > 1 else [made.sequences.shape[1] - start] * len(made.sequences)
            texts.append([until_end(row[start:start + length].tolist(), theirs.get("eos_token_id", [])) for row, length in zip(made.sequences, lengths)])
            scores.append(made.sequences_scores.tolist() if theirs.get("num_beams", 1) > 1 else None)
        runs.append({"options": ours, "texts": texts, "scores": scores})
    for theirs, ours in SAMPLING:
        ids = torch.tensor([PROMPTS[0]])
        made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, max_new_tokens=1, return_dict_in_generate=True, output_scores=True, output_logits=True, **theirs)
        row = [x if x > float("-inf") else None for x in made.scores[0][0].tolist()]
        processed.append({"options": ours, "logits": made.logits[0][0].tolist(), "scores": row})
    fields = {**json.loads(config.to_json_string(use_diff=False)), "model_type": config.model_type}
    (out / f"{name}.json").write_text(json.dumps({"config": fields, "prompts": PROMPTS, "runs": runs, "processed": processed}))
    print(name, [len(t) for r in runs for p in r["texts"] for t in p])
