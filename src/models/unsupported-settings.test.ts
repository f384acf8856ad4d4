import { describe, expect, it } from 'vitest'
import { ConfigError } from '../core/index.ts'
import { models } from './index.ts'

describe('fromHf', () => {
  it.each(['bert', 'roberta', 'electra'] as const)('refuses %s as a decoder, by the name of the field', (type) => {
    const definition = models[type]
    expect(definition.fromHf({ model_type: type, is_decoder: false }).hiddenSize).toBeGreaterThan(0)
    expect(() => definition.fromHf({ model_type: type, is_decoder: true })).toThrow(ConfigError)
    expect(() => definition.fromHf({ model_type: type, is_decoder: true })).toThrow(
      `Expected false for \`is_decoder\` in config.json, got true. ${type} is supported as an encoder only`,
    )
    expect(() => definition.fromHf({ model_type: type, add_cross_attention: true })).toThrow(/`add_cross_attention`/)
  })

  it.each([
    ['albert', 'inner_group_num', 2],
    ['mpnet', 'relative_attention_num_buckets', 40],
    ['deberta-v2', 'conv_kernel_size', 3],
    ['deberta-v2', 'embedding_size', 64],
  ] as const)('refuses a %s with another %s, which would change its logits unseen', (type, name, value) => {
    expect(() => models[type].fromHf({ hidden_size: 32, [name]: value })).toThrow(
      new RegExp(`\`${name}\` in config\\.json, got ${value}`),
    )
  })

  it.each(['llama', 'gpt2', 't5', 'bart'] as const)('refuses a %s whose tokens attend to later ones', (type) => {
    expect(models[type].fromHf({ is_causal: true }).hiddenSize).toBeGreaterThan(0)
    expect(() => models[type].fromHf({ is_causal: false })).toThrow(
      `Expected \`is_causal\` true or absent in config.json for ${type}, got false`,
    )
    expect(models.bert.fromHf({ is_causal: false }).hiddenSize).toBeGreaterThan(0)
  })

  // Defaults of transformers 5, which are not those of published models.
  it('reads what transformers takes for fields that a file lacks', () => {
    for (const type of ['roberta', 'xlm-roberta', 'camembert', 'mpnet'] as const)
      expect(models[type].fromHf({}).normEps).toBe(1e-12)
    expect(models.mistral.fromHf({})).toMatchObject({ slidingWindow: 4096, numKvHeads: 8 })
    expect(models.mistral.fromHf({ sliding_window: null, num_key_value_heads: 4 })).toMatchObject({
      slidingWindow: 0,
      numKvHeads: 4,
    })
  })

  it('reads the dropout of the heads of DistilBERT and ELECTRA', () => {
    const config = models.distilbert.fromHf({ seq_classif_dropout: 0.3, qa_dropout: 0.4 })
    expect(config).toMatchObject({ classifierDropout: 0.3, answerDropout: 0.4 })
    expect(models.distilbert.toHf(config)).toMatchObject({ seq_classif_dropout: 0.3, qa_dropout: 0.4 })
    expect(models.electra.fromHf({ summary_last_dropout: 0.3 }).summaryDropout).toBe(0.3)
  })

  it('reads the activation of T5 by its own name, and writes every one so that it is read again', () => {
    const { fromHf, toHf } = models.t5
    expect(fromHf({ feed_forward_proj: 'gated-gelu' })).toMatchObject({ gated: true, activation: 'gelu_new' })
    expect(fromHf({ feed_forward_proj: 'relu', dense_act_fn: 'silu' })).toMatchObject({
      gated: false,
      activation: 'silu',
    })
    for (const activation of ['gelu', 'gelu_new', 'relu'] as const)
      for (const gated of [false, true])
        expect(fromHf(toHf(fromHf({ dense_act_fn: activation, is_gated_act: gated })))).toMatchObject({
          activation,
          gated,
        })
  })

  it('refuses an ALBERT with more distinct layers than layers', () => {
    const config = models.albert.fromHf({ num_hidden_layers: 2, num_hidden_groups: 3 })
    expect(() => models.albert.build(config)).toThrow(/at most `numLayers` \(2\) for `layerGroups`, got 3/)
  })

  it('refuses a Qwen whose list of layer types has another length or an unknown type', () => {
    const layers = (layer_types: string[]) => models.qwen2.fromHf({ num_hidden_layers: 2, layer_types })
    expect(() => models.qwen2.build(layers(['full_attention']))).toThrow(/Expected 2 entries for `layer_types`/)
    expect(() => layers(['full_attention', 'linear_attention'])).toThrow(/layer_types in config.json/)
  })
})

describe('Gemma and OLMo', () => {
  it.each(['attn_logit_softcapping', 'final_logit_softcapping', 'use_bidirectional_attention'])(
    'refuses a Gemma 3 with %s, which would change its logits unseen',
    (name) => {
      expect(models.gemma3.fromHf({ [name]: null }).hiddenSize).toBeGreaterThan(0)
      expect(() => models.gemma3.fromHf({ [name]: 30 })).toThrow(`Expected no \`${name}\` in config.json, got 30`)
    },
  )

  it('reads null as no soft cap of Gemma 2, and an absent field as the default', () => {
    const { fromHf, toHf } = models.gemma2
    expect(fromHf({})).toMatchObject({ attentionSoftcap: 50, logitSoftcap: 30 })
    const open = fromHf({ attn_logit_softcapping: null, final_logit_softcapping: null })
    expect(open).toMatchObject({ attentionSoftcap: 0, logitSoftcap: 0 })
    expect(toHf(open)).toMatchObject({ attn_logit_softcapping: null, final_logit_softcapping: null })
    expect(() => fromHf({ use_bidirectional_attention: true })).toThrow(/use_bidirectional_attention/)
  })

  it('reads the rotary bases of older files of Gemma 3, and the tanh form behind "gelu" of Gemma', () => {
    const old = { rope_theta: 1e6, rope_local_base_freq: 500, sliding_window_pattern: 3, num_hidden_layers: 3 }
    expect(models.gemma3.fromHf(old)).toMatchObject({ ropeTheta: 1e6, localRopeTheta: 500, windowPattern: 3 })
    expect(models.gemma3.toHf(models.gemma3.fromHf(old))).toMatchObject({
      model_type: 'gemma3_text',
      layer_types: ['sliding_attention', 'sliding_attention', 'full_attention'],
    })
    expect(models.gemma.fromHf({ hidden_act: 'gelu' }).activation).toBe('gelu_pytorch_tanh')
  })

  it('refuses a list of layers of another length', () => {
    expect(() => models.smollm3.build(models.smollm3.fromHf({ no_rope_layers: [1, 0] }))).toThrow(
      /Expected 36 entries for `no_rope_layers`/,
    )
  })
})

describe('toHf', () => {
  it.each(['mistral', 'phi3'] as const)(
    'writes null for a %s without sliding window, as 0 would hide every key',
    (type) => {
      const { fromHf, toHf } = models[type]
      const written = (sliding_window: number | null) => toHf(fromHf({ sliding_window }) as never).sliding_window
      expect([written(null), written(8)]).toEqual([null, 8])
    },
  )

  it('writes the sliding window of a Qwen as it was read', () => {
    const fields = { use_sliding_window: true, sliding_window: 8, max_window_layers: 1 }
    expect(models.qwen3.toHf(models.qwen3.fromHf(fields))).toMatchObject(fields)
  })
})

describe('a file with the older and the newer field of rotary positions', () => {
  const both = (rope_scaling: object | null, newer: object) => ({
    rope_scaling,
    rope_parameters: newer,
    hidden_size: 32,
    num_attention_heads: 4,
  })
  const newer = { rope_type: 'linear', factor: 2, rope_theta: 500 }

  it('goes by the older one, as in transformers, unless it is empty', () => {
    const { ropeScaling } = models.llama.fromHf(both({ rope_type: 'linear', factor: 8 }, newer))
    expect(ropeScaling).toEqual({ kind: 'linear', factor: 8 })
    for (const empty of [{}, null])
      expect(models.llama.fromHf(both(empty, newer))).toMatchObject({
        ropeTheta: 500,
        ropeScaling: { kind: 'linear', factor: 2 },
      })
  })

  it('adds the older one to the newer in Gemma 3', () => {
    const fields = both({ rope_type: 'linear', factor: 8 }, { full_attention: newer })
    expect(models.gemma3.fromHf(fields)).toMatchObject({
      ropeTheta: 500,
      ropeScaling: { kind: 'linear', factor: 8 },
    })
  })
})

describe('LongRoPE', () => {
  const scaled = (short_factor: number[]) => ({
    hidden_size: 32,
    num_attention_heads: 4,
    max_position_embeddings: 64,
    original_max_position_embeddings: 16,
    rope_scaling: { type: 'su', short_factor, long_factor: [2, 2, 2, 2] },
  })

  it('is read from early files of Phi 3, with its factor from both lengths', () => {
    expect(models.phi3.fromHf(scaled([1, 1, 1, 1])).ropeScaling).toEqual({
      kind: 'longrope',
      shortFactor: [1, 1, 1, 1],
      longFactor: [2, 2, 2, 2],
      originalPositions: 16,
      factor: 4,
    })
  })

  it('refuses factors that are not one per frequency, and an odd number of rotated elements', () => {
    expect(() => models.phi3.build(models.phi3.fromHf(scaled([1, 1])))).toThrow(
      'Expected 4 numbers for `shortFactor`, one per rotary frequency, got 2.',
    )
    expect(() =>
      models['gpt-neox'].build(models['gpt-neox'].fromHf({ hidden_size: 24, num_attention_heads: 2 })),
    ).toThrow(/Expected an even number of rotated elements of a head, got 0.25 of 12/)
  })
})
