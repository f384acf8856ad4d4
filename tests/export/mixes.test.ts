// The type of each tensor by the file types of llama.cpp.
import { describe, expect, it } from 'vitest'
import { mixes, typeOf } from '../../src/export/gguf/mixes.ts'

describe('types of tensors in GGUF files', () => {
  it('chooses the types of llama.cpp for rows of any length', () => {
    const type = (variant: string, name: string, shape: number[], tied = true) =>
      typeOf(mixes[variant], name, shape, { layers: 30, tied })
    // SmolLM2-135M: rows of 576 are no whole blocks of 256, rows of 1536 are.
    expect(type('q4_k_m', 'token_embd.weight', [49152, 576])).toBe('Q8_0')
    expect(type('q4_k_m', 'blk.3.attn_q.weight', [576, 576])).toBe('Q5_0')
    expect(type('q4_k_m', 'blk.0.attn_v.weight', [192, 576])).toBe('Q8_0')
    expect(type('q4_k_m', 'blk.0.ffn_down.weight', [576, 1536])).toBe('Q6_K')
    expect(type('q4_k_m', 'blk.3.ffn_down.weight', [576, 1536])).toBe('Q4_K')
    expect(type('q4_k_m', 'blk.0.attn_norm.weight', [576])).toBe('F32')
    expect(type('q8_0', 'blk.0.attn_q.weight', [16, 16])).toBe('F16')
    expect(type('q4_0', 'output.weight', [512, 256], false)).toBe('Q6_K')
    // As compare-with-llama-quantize.py found for models of 16 and 9 layers.
    expect(type('q2_k', 'blk.0.ffn_down.weight', [256, 288])).toBe('Q4_0')
    expect(type('q3_k_s', 'blk.0.attn_v.weight', [96, 288])).toBe('Q4_0')
    expect(type('q3_k_m', 'blk.2.attn_v.weight', [64, 256])).toBe('Q4_K')
    expect(type('q3_k_m', 'blk.1.attn_v.weight', [64, 256])).toBe('Q5_K')
    expect(type('iq4_xs', 'blk.0.ffn_down.weight', [256, 288])).toBe('Q5_1')
    expect(type('iq4_xs', 'blk.9.attn_q.weight', [256, 288])).toBe('IQ4_NL')
  })

  it('chooses the types of llama.cpp beside experts', () => {
    const type = (variant: string, name: string, experts: number) =>
      typeOf(mixes[variant], name, [256, 256], { layers: 9, tied: false, experts })
    // As compare-with-llama-quantize.py found for Mixtral with 4 and 8 experts.
    expect(type('q4_k_m', 'blk.0.attn_k.weight', 8)).toBe('Q8_0')
    expect(type('q4_k_m', 'blk.0.attn_k.weight', 4)).toBe('Q4_K')
    expect(type('q5_k_m', 'blk.0.attn_v.weight', 8)).toBe('Q8_0')
    expect(type('q4_k_m', 'blk.3.attn_output.weight', 8)).toBe('Q5_K')
    expect(type('q3_k_l', 'blk.3.attn_output.weight', 8)).toBe('Q3_K')
    expect(type('q3_k_l', 'blk.3.attn_output.weight', 4)).toBe('Q5_K')
    expect(type('q4_k_m', 'blk.0.ffn_down_exps.weight', 8)).toBe('Q6_K')
    expect(type('q4_k_m', 'blk.0.ffn_gate_inp.weight', 8)).toBe('F32')
    expect(type('f16', 'blk.0.ffn_gate_inp.weight', 8)).toBe('F32')
    expect(type('mxfp4', 'blk.0.ffn_up_exps.weight', 4)).toBe('MXFP4')
    expect(type('mxfp4', 'blk.0.attn_q.weight', 4)).toBe('Q8_0')
    expect(type('mxfp4', 'token_embd.weight', 4)).toBe('Q8_0')
  })
})
