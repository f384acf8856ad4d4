"""Small random checkpoints of transformers' bodies with odd settings, and what they give: hidden states and gradients.
  python make-bodies.py   [CASE …]   (writes golden/ beside itself)"""
import json
import sys
from pathlib import Path

import torch
from experts import by_expert
from safetensors.torch import save_file
from transformers import (AlbertConfig, AlbertModel, DebertaV2Config, DebertaV2Model, BartConfig, BartModel, MBartConfig, MBartModel, MPNetConfig, MPNetModel, MixtralConfig, MixtralModel, Qwen3MoeConfig, Qwen3MoeModel, Gemma2Config, Gemma2Model, Gemma3TextConfig, Gemma3TextModel, GemmaConfig, GemmaModel, Olmo2Config, Olmo2Model, SmolLM3Config, SmolLM3Model, BertConfig, BertModel, DistilBertConfig, DistilBertModel, ElectraConfig, ElectraModel, GPT2Config, GPT2Model, LlamaConfig,
                          LlamaModel, GPTNeoXConfig, GPTNeoXModel, ModernBertConfig, ModernBertModel, Phi3Config, Phi3Model, MistralConfig, MistralModel, Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model, RobertaConfig, RobertaModel, T5Config, T5Model)

cross = dict(vocab_size=61, d_model=24, max_position_embeddings=20)
CASES = {
    "bert": (BertModel, BertConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=20,
                                   hidden_act="gelu", layer_norm_eps=1e-6)),
    "gpt2": (GPT2Model, GPT2Config(vocab_size=61, n_embd=24, n_layer=2, n_head=3, n_positions=20, n_inner=56, scale_attn_by_inverse_layer_idx=True, bos_token_id=0, eos_token_id=0)),
    "llama": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, intermediate_size=40,
                                      max_position_embeddings=64, attention_bias=True, rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16})),
    "llama-headdim": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=20, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=16, intermediate_size=28,
                                              mlp_bias=True, rms_norm_eps=1e-5, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0})),
    "llama-yarn": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=28, tie_word_embeddings=True,
                                           rope_parameters={"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 3})),
    # Bounds of the ramp that are not whole, and a factor of cosines and sines from both scales; `factor` is the ratio of the lengths.
    "llama-yarn-mscale": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=28, max_position_embeddings=640,
                                                  rope_parameters={"rope_type": "yarn", "rope_theta": 1000.0, "factor": None, "original_max_position_embeddings": 16, "beta_fast": 2, "mscale": 0.4, "mscale_all_dim": 3.0, "truncate": False})),
    # Dynamic NTK goes by the maximum length, whatever the original length says.
    "llama-dynamic": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=28, max_position_embeddings=32,
                                              rope_parameters={"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 3})),
    "mistral": (MistralModel, MistralConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40, head_dim=8,
                                            sliding_window=4, attn_implementation="eager")),
    "qwen2": (Qwen2Model, Qwen2Config(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40)),
    "qwen3": (Qwen3Model, Qwen3Config(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=40)),
    # A sliding window in some layers only, by the first one that has it and by a list.
    "qwen2-window": (Qwen2Model, Qwen2Config(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
                                             use_sliding_window=True, sliding_window=4, max_window_layers=1, attn_implementation="eager")),
    "qwen3-window": (Qwen3Model, Qwen3Config(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=40,
                                             use_sliding_window=True, sliding_window=3, layer_types=["sliding_attention", "full_attention", "sliding_attention"], attn_implementation="eager")),
    "mixtral": (MixtralModel, MixtralConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=10, intermediate_size=20, num_local_experts=5, num_experts_per_tok=3,
                                            sliding_window=4, pad_token_id=None, attn_implementation="eager", experts_implementation="eager")),
    # A layer without experts, biases, weights that are not normalised, and more experts than most rows have tokens.
    "qwen3-moe": (Qwen3MoeModel, Qwen3MoeConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=40, moe_intermediate_size=14, num_experts=19,
                                                num_experts_per_tok=2, norm_topk_prob=False, mlp_only_layers=[1], attention_bias=True, pad_token_id=None, experts_implementation="eager")),
    "gemma": (GemmaModel, GemmaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=10, intermediate_size=40, pad_token_id=None, attention_bias=True)),
    "gemma3": (Gemma3TextModel, Gemma3TextConfig(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=10, intermediate_size=40, pad_token_id=None,
                                                 query_pre_attn_scalar=7, sliding_window=4, layer_types=["sliding_attention", "full_attention", "sliding_attention"], attn_implementation="eager",
                                                 rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 300.0}})),
    "gemma2": (Gemma2Model, Gemma2Config(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=10, intermediate_size=40, pad_token_id=None, attention_bias=True,
                                         query_pre_attn_scalar=7, sliding_window=4, attn_logit_softcapping=1.5, attn_implementation="eager")),
    # No cap, and other layers that slide.
    "gemma2-uncapped": (Gemma2Model, Gemma2Config(vocab_size=61, hidden_size=20, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=12, intermediate_size=28, pad_token_id=None,
                                                  query_pre_attn_scalar=5, sliding_window=3, attn_logit_softcapping=None, layer_types=["full_attention", "sliding_attention"], attn_implementation="eager")),
    "olmo2": (Olmo2Model, Olmo2Config(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40, pad_token_id=None, attention_bias=True)),
    "smollm3": (SmolLM3Model, SmolLM3Config(vocab_size=61, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40, pad_token_id=None, mlp_bias=True,
                                            no_rope_layers=[0, 1, 0], use_sliding_window=True, sliding_window=4, attn_implementation="eager")),
    "phi3": (Phi3Model, Phi3Config(vocab_size=61, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=28, pad_token_id=None, sliding_window=6, attn_implementation="eager",
                                   max_position_embeddings=64, original_max_position_embeddings=3, rope_parameters={"rope_type": "longrope", "rope_theta": 500.0, "partial_rotary_factor": 0.65,
                                   "short_factor": [1.0, 1.1, 1.5], "long_factor": [1.2, 2.0, 9.5], "original_max_position_embeddings": 3})),
    "phi3-short": (Phi3Model, Phi3Config(vocab_size=61, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=28, pad_token_id=None,
                                         max_position_embeddings=64, original_max_position_embeddings=32, rope_parameters={"rope_type": "longrope", "rope_theta": 500.0,
                                         "short_factor": [1.0, 1.1, 1.5, 2.0], "long_factor": [1.2, 2.0, 9.5, 10.0], "original_max_position_embeddings": 32})),
    "gpt-neox": (GPTNeoXModel, GPTNeoXConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=32,
                                             rope_parameters={"rope_type": "default", "rope_theta": 300.0, "partial_rotary_factor": 0.5})),
    "gpt-neox-serial": (GPTNeoXModel, GPTNeoXConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=28, use_parallel_residual=False, attention_bias=False, hidden_act="relu")),
    "modernbert": (ModernBertModel, ModernBertConfig(vocab_size=61, hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=20, local_attention=4, pad_token_id=0, norm_eps=1e-6,
                                                     attn_implementation="eager")),
    "modernbert-biases": (ModernBertModel, ModernBertConfig(vocab_size=61, hidden_size=20, num_hidden_layers=3, num_attention_heads=5, intermediate_size=14, local_attention=7, pad_token_id=0, norm_bias=True,
                                                            attention_bias=True, mlp_bias=True, hidden_activation="silu", attn_implementation="eager", layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                                            rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 900.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}})),
    "roberta": (RobertaModel, RobertaConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=20, pad_token_id=1,
                                            type_vocab_size=1)),
    "distilbert": (DistilBertModel, DistilBertConfig(vocab_size=61, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=20, activation="relu")),
    "electra": (ElectraModel, ElectraConfig(vocab_size=61, embedding_size=16, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=20)),
    "albert": (AlbertModel, AlbertConfig(vocab_size=61, embedding_size=24, hidden_size=24, num_hidden_layers=5, num_hidden_groups=2, num_attention_heads=3, intermediate_size=28, max_position_embeddings=20, layer_norm_eps=1e-6)),
    "mpnet": (MPNetModel, MPNetConfig(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=28, max_position_embeddings=20, layer_norm_eps=1e-6, hidden_act="relu")),
    "bart": (BartModel, BartConfig(**cross, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3, decoder_attention_heads=4, encoder_ffn_dim=40, decoder_ffn_dim=28)),
    "mbart": (MBartModel, MBartConfig(**cross, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=3, encoder_ffn_dim=28, decoder_ffn_dim=40, scale_embedding=True, activation_function="relu", decoder_start_token_id=2)),
    "deberta-v2": (DebertaV2Model, DebertaV2Config(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=28, max_position_embeddings=20, type_vocab_size=2, relative_attention=True,
                                                   position_buckets=4, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False)),
    "deberta-v2-own": (DebertaV2Model, DebertaV2Config(vocab_size=61, hidden_size=24, num_hidden_layers=1, num_attention_heads=4, intermediate_size=28, max_position_embeddings=20, relative_attention=True, max_relative_positions=7,
                                                       pos_att_type="c2p|p2c", type_vocab_size=1, hidden_act="relu")),
    # As many positions as tokens; rows padded on both sides and with holes.
    "bert-limit": (BertModel, BertConfig(vocab_size=61, hidden_size=20, num_hidden_layers=1, num_attention_heads=5, intermediate_size=28, max_position_embeddings=11, hidden_act="relu")),
    "roberta-limit": (RobertaModel, RobertaConfig(vocab_size=61, hidden_size=21, num_hidden_layers=1, num_attention_heads=7, intermediate_size=28, max_position_embeddings=13, pad_token_id=1, type_vocab_size=1)),
    "distilbert-limit": (DistilBertModel, DistilBertConfig(vocab_size=61, dim=24, n_layers=1, n_heads=1, hidden_dim=28, max_position_embeddings=11)),
    "electra-limit": (ElectraModel, ElectraConfig(vocab_size=61, embedding_size=24, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=28, max_position_embeddings=11, hidden_act="gelu_new")),
    "gpt2-limit": (GPT2Model, GPT2Config(vocab_size=61, n_embd=21, n_layer=1, n_head=7, n_positions=11, bos_token_id=0, eos_token_id=0, scale_attn_weights=False, activation_function="relu")),
    "llama-limit": (LlamaModel, LlamaConfig(vocab_size=61, hidden_size=30, num_hidden_layers=1, num_attention_heads=5, num_key_value_heads=5, intermediate_size=28, max_position_embeddings=11)),
    "t5": (T5Model, T5Config(vocab_size=61, d_model=24, d_kv=10, d_ff=40, num_layers=2, num_decoder_layers=1, num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=12)),
    "t5-gated": (T5Model, T5Config(vocab_size=61, d_model=24, d_kv=8, d_ff=40, num_layers=1, num_decoder_layers=2, num_heads=3, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
}
NO_POOLER = (AlbertModel, MPNetModel, BertModel, RobertaModel)
SEGMENTS = (DebertaV2Model, AlbertModel, BertModel, ElectraModel)
ENCODER_DECODERS = (T5Model, BartModel, MBartModel)
ENCODERS = (DebertaV2Model, AlbertModel, MPNetModel, ModernBertModel, BertModel, RobertaModel, DistilBertModel, ElectraModel)
out = Path(__file__).parent / "golden"
out.mkdir(exist_ok=True)
for name, (kind, config) in CASES.items():
    if len(sys.argv) > 1 and name not in sys.argv[1:]:
        continue
    torch.manual_seed(7)
    model = kind(config, add_pooling_layer=False) if kind in NO_POOLER else kind(config)
    for p in model.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    model.eval()
    ids = torch.randint(0, 61, (3, 11), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(3, 11, dtype=torch.long)
    mask[0, 8:] = 0
    if kind in ENCODERS:
        mask[1, :3] = 0
        mask[2, 5] = 0
    if name.endswith("-limit"):
        mask[1] = 1
        mask[1, :2] = mask[1, 9:] = mask[1, 5] = 0
    extra = {"token_type_ids": (torch.arange(11) > 5).long().expand(3, 11)} if kind in SEGMENTS and config.type_vocab_size > 1 else {}
    if kind in (RobertaModel, MPNetModel):
        ids = ids.clamp(min=2).masked_fill(mask == 0, 1)
    if kind in ENCODER_DECODERS:
        extra = {"decoder_input_ids": torch.randint(0, 61, (3, 11), generator=torch.Generator().manual_seed(3)), "decoder_attention_mask": torch.ones(3, 11, dtype=torch.long)}
    result = model(input_ids=ids, attention_mask=mask, output_hidden_states=True, **extra)
    weights = torch.randn(result.last_hidden_state.shape, generator=torch.Generator().manual_seed(2))
    seen = mask if kind not in ENCODER_DECODERS else extra["decoder_attention_mask"]
    (result.last_hidden_state * weights * seen[..., None]).sum().backward()
    skip = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}
    save_file({k: v.contiguous() for k, v in by_expert(model.state_dict(), config.model_type).items() if k not in skip}, out / f"{name}.safetensors")
    golden = {"ids": ids, **extra, "mask": mask, "seen": seen, "weights": weights, **{f"hidden.{i}": h for i, h in enumerate(result.decoder_hidden_states if kind in ENCODER_DECODERS else result.hidden_states)}}
    golden |= {f"grad.{k}": g for k, g in by_expert({k: p.grad for k, p in model.named_parameters() if p.grad is not None}, config.model_type).items()}
    save_file({k: v.detach().clone().contiguous() for k, v in golden.items() if k not in {'grad.encoder.embed_tokens.weight', 'grad.decoder.embed_tokens.weight'}}, out / f"{name}.expected.safetensors")
    (out / f"{name}.json").write_text(json.dumps({"model_type": config.model_type, **json.loads(config.to_json_string(use_diff=False))}, indent=1))
