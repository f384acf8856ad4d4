// Adapters of PEFT, loaded here: equal logits, equal gradients of every trained tensor, and equal files when they are
// saved.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModel, openSafetensors, saveModel, saveSafetensors } from '../../src/checkpoint/index.ts'
import { type LanguageHead, type Model, quantizeWeights } from '../../src/models/index.ts'
import { cat, noGrad, type Tensor, tensor } from '../../src/tensor/index.ts'
import { placedFile } from '../device.ts'

const openPlaced = async (path: string) => placedFile(await openSafetensors(path))

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')
const names = readdirSync(golden).filter((name) => name !== 'bases')
const scratch = mkdtempSync(join(tmpdir(), 'adapters-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const largest = (values: Tensor): number => values.abs().max().item()
const relative = (actual: Tensor, wanted: Tensor): number =>
  largest(actual.sub(wanted)) / Math.max(largest(wanted), 1e-3)

const expectedOf = (name: string) => openPlaced(join(golden, name, 'expected.safetensors'))
type Expected = Awaited<ReturnType<typeof expectedOf>>

const run = (model: Model, expected: Expected) => {
  const decoderInputIds = expected.tensors.has('decoder_input_ids') ? expected.tensor('decoder_input_ids') : undefined
  return model.forward({ inputIds: expected.tensor('ids'), attentionMask: expected.tensor('mask'), decoderInputIds })
    .logits
}

/** Rows that are not padding, where each token has logits. */
const seen = (logits: Tensor, expected: Expected) => {
  const mask = expected.tensor('mask')
  return logits.ndim === 3 && logits.shape[1] === mask.shape[1] ? logits.mul(mask.unsqueeze(2)) : logits
}

describe.each(names)('%s', (name) => {
  it('is loaded with the logits and gradients of PEFT', async () => {
    const expected = await expectedOf(name)
    const { model, applied } = await loadAdapter(join(golden, name), { trainable: true })
    const logits = run(model, expected)
    expect(relative(seen(logits, expected), seen(expected.tensor('logits'), expected))).toBeLessThan(1e-5)
    logits.mul(expected.tensor('weights')).sum().backward()
    const wanted = [...expected.tensors]
      .filter(([key, { shape }]) => key.startsWith('gradient.') && !shape.includes(0))
      .map(([key]) => key)
    // Gradients by the keys of PEFT: the values go the way of the files.
    const gradients = new Map([...applied.trainable].map(([path, tensor]) => [path, tensor.grad]))
    expect([...gradients.values()].every((gradient) => gradient !== undefined)).toBe(true)
    for (const tensor of applied.trainable.values()) {
      const { grad } = tensor
      if (grad !== undefined) noGrad(() => tensor.detach().copy_(grad))
    }
    const folder = join(scratch, `${name}-gradients`)
    await saveAdapter(applied, folder)
    const written = await openPlaced(join(folder, 'adapter_model.safetensors'))
    for (const key of wanted) {
      const own = written.tensor(key.slice('gradient.'.length))
      expect(relative(own, expected.tensor(key)), key).toBeLessThan(1e-4)
    }
    expect(written.tensors.size).toBeGreaterThanOrEqual(wanted.length)
  })

  // T5 has no packed form.
  it.skipIf(name.startsWith('t5'))(
    'gives the same logits of the rows packed into one, without their padding',
    async () => {
      const expected = await expectedOf(name)
      const { model } = await loadAdapter(join(golden, name))
      const seenIds = expected.tensor('mask').ne(0)
      const inputIds = expected.tensor('ids').maskedSelect(seenIds).unsqueeze(0)
      const lengths = Array.from(seenIds.to('int64').sum(1).toTypedArray(), Number)
      const starts = tensor([0, lengths[0], inputIds.shape[1]], { dtype: 'int64' })
      const logits = noGrad(() => model.forward({ inputIds, starts }).logits)
      const wanted = expected.tensor('logits')
      const rows = wanted.ndim === 3 ? [wanted.select(0, 0), wanted.select(0, 1).narrow(0, 0, lengths[1])] : []
      expect(relative(logits, rows.length > 0 ? cat(rows, 0).unsqueeze(0) : wanted)).toBeLessThan(1e-5)
    },
  )

  it('is saved with the tensors of PEFT', async () => {
    const { applied } = await loadAdapter(join(golden, name))
    const folder = join(scratch, name)
    await saveAdapter(applied, folder, {
      base: JSON.parse(readFileSync(join(golden, name, 'adapter_config.json'), 'utf8')).base_model_name_or_path,
    })
    const [theirs, ours] = await Promise.all(
      [golden, scratch].map((root) => openPlaced(join(root, name, 'adapter_model.safetensors'))),
    )
    // PEFT also stores an output layer as it is in the base.
    const wanted = [...theirs.tensors.keys()].filter((key) => !key.endsWith('.base_layer.weight'))
    expect([...ours.tensors.keys()].sort()).toEqual(wanted.sort())
    for (const key of wanted) expect(ours.tensor(key).equal(theirs.tensor(key)), key).toBe(true)
  })
})

it('a prompt with unused vectors for the decoder, as PEFT writes it, is loaded', async () => {
  const expected = await expectedOf('t5-prompt')
  const folder = join(scratch, 't5-prompt-twice')
  mkdirSync(folder)
  const source = join(golden, 't5-prompt')
  const fields = JSON.parse(readFileSync(join(source, 'adapter_config.json'), 'utf8')) as object
  const base = join(golden, 'bases', 't5')
  const more = { base_model_name_or_path: base, num_transformer_submodules: 2 }
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...fields, ...more }))
  const table = (await openPlaced(join(source, 'adapter_model.safetensors'))).tensor('prompt_embeddings')
  const twice = new Map([['prompt_embeddings', cat([table, table.add(1)], 0)]])
  await saveSafetensors(join(folder, 'adapter_model.safetensors'), twice)
  const { model } = await loadAdapter(folder)
  expect(relative(run(model, expected), expected.tensor('logits'))).toBeLessThan(1e-5)
})

/** A copy of what PEFT wrote, with its tensors and fields changed. */
const changedCopy = async (
  name: string,
  copy: string,
  change: (tensors: Map<string, Tensor>, fields: Record<string, unknown>) => void,
): Promise<string> => {
  const folder = join(scratch, copy)
  mkdirSync(folder)
  const fields = JSON.parse(readFileSync(join(golden, name, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  fields.base_model_name_or_path = join(golden, 'bases', name.split('-')[0])
  const file = await openPlaced(join(golden, name, 'adapter_model.safetensors'))
  const tensors = new Map([...file.tensors.keys()].map((key) => [key, file.tensor(key)]))
  change(tensors, fields)
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(fields))
  await saveSafetensors(join(folder, 'adapter_model.safetensors'), tensors)
  return folder
}

it.each([
  [
    { '((\\w+\\.?)+)+x': 3 },
    /expressions that take less than 0\.1 s for `rank_pattern`, got .* Write names of modules/,
  ],
  [
    { '(?P<layer>q_proj)': 3 },
    /regular expressions that JavaScript has for `rank_pattern`, got .* Write names of modules/,
  ],
  [{ q_proj: '3' }, /positive numbers for `rank_pattern`, got "3"/],
])('ranks by module are refused where they are %j', async (patterns, message) => {
  const folder = await changedCopy(
    'llama-patterns',
    `ranks-${Object.values(patterns)}-${message.source.length}`,
    (_, fields) => {
      fields.rank_pattern = patterns
    },
  )
  await expect(loadAdapter(folder)).rejects.toThrow(message)
})

it('rows of tokens beside a LoRA of the output layer are refused where they change the same matrix', async () => {
  const folder = await changedCopy('qwen2-output', 'tied-rows', (tensors, fields) => {
    const [first] = tensors.values()
    const key = 'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta'
    tensors.set(key, first.flatten().narrow(0, 0, 24).view([1, 24]))
    fields.trainable_token_indices = [8]
  })
  await expect(loadAdapter(folder)).rejects.toThrow(/LoRA of the output layer or rows of it .*, got both/)
})

it('rows of the output layer alone are refused by name', async () => {
  const folder = await changedCopy('llama-tokens', 'output-rows', (tensors, fields) => {
    for (const key of [...tensors.keys()]) if (key.includes('embed_tokens')) tensors.delete(key)
    fields.trainable_token_indices = { lm_head: [9, 4] }
  })
  await expect(loadAdapter(folder)).rejects.toThrow(/token ids of the embeddings model\.embed_tokens .*, got .*lm_head/)
})

it('a LoRA outside the numbered layers is saved under its whole module name', async () => {
  const source = join(golden, 'bert-lora')
  const folder = await changedCopy('bert-lora', 'pooler', (tensors, fields) => {
    const key = [...tensors.keys()].find((one) => one.endsWith('attention.self.query.lora_A.weight'))!
    const [a, b] = [key, key.replace('lora_A', 'lora_B')].map((one) => tensors.get(one)!)
    tensors.set('base_model.model.bert.pooler.dense.lora_A.weight', a)
    tensors.set('base_model.model.bert.pooler.dense.lora_B.weight', b)
    fields.target_modules = [...(fields.target_modules as string[]), 'pooler.dense']
  })
  const { model, applied } = await loadAdapter(folder)
  const written = join(scratch, 'pooler-written')
  await saveAdapter(applied, written, { base: join(golden, 'bases', 'bert') })
  const { target_modules: targets } = JSON.parse(readFileSync(join(written, 'adapter_config.json'), 'utf8')) as {
    target_modules: string[]
  }
  expect(targets).toContain('bert.pooler.dense')
  expect(targets.filter((name) => name.length < 3)).toEqual([])
  const expected = await expectedOf('bert-lora')
  const again = (await loadAdapter(written)).model
  const logits = run(model, expected)
  expect(run(again, expected).equal(logits)).toBe(true)
  expect(relative(logits, run((await loadAdapter(source)).model, expected))).toBeGreaterThan(1e-4)
})

it('an adapter with NaN or infinity in its weights is refused by the name of the tensor', async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const folder = await changedCopy('bert-lora', `not-finite-${value}`, (tensors) => {
      const key = [...tensors.keys()].find((one) => one.includes('layer.1.attention.self.query.lora_B'))!
      tensors.set(
        key,
        noGrad(() => tensors.get(key)!.add(value)),
      )
    })
    await expect(loadAdapter(folder)).rejects.toThrow(
      /Expected finite weights, got NaN or infinity in body\.layers\.1\.attention\.qProj\.adapters\.default\.b/,
    )
    const base = await loadModel(join(golden, 'bases', 'bert'))
    await expect(loadAdapter(folder, { base })).rejects.toThrow(/finite/)
    await expect(loadAdapter(join(golden, 'bert-lora'), { base })).resolves.toBeDefined()
  }
})

describe('a file without tensors that its fields name', () => {
  const layer = /encoder\.layer\.1\.attention\.self\.query\.lora_[AB]/

  it('is refused without both matrices of a target', async () => {
    const folder = await changedCopy('bert-lora', 'no-pair', (tensors) => {
      const pair = [...tensors.keys()].filter((key) => layer.test(key))
      expect(pair).toHaveLength(2)
      for (const key of pair) tensors.delete(key)
    })
    await expect(loadAdapter(folder)).rejects.toThrow(/got 2 missing: .*query\.lora_A\.weight.*query\.lora_B\.weight/)
  })

  it('is loaded where layers_to_transform or exclude_modules exclude the layer', async () => {
    for (const more of [{ layers_to_transform: [0] }, { exclude_modules: ['layer.1.attention.self.query'] }]) {
      const folder = await changedCopy('bert-lora', `left-out-${Object.keys(more)[0]}`, (tensors, fields) => {
        for (const key of [...tensors.keys()])
          if ('layers_to_transform' in more ? /encoder\.layer\.1\./.test(key) : layer.test(key)) tensors.delete(key)
        Object.assign(fields, more)
      })
      await expect(loadAdapter(folder)).resolves.toBeDefined()
    }
  })

  it('is refused without a head that modules_to_save names', async () => {
    const folder = await changedCopy('bert-lora', 'no-head', (tensors, fields) => {
      for (const key of [...tensors.keys()]) if (key.includes('classifier')) tensors.delete(key)
      fields.modules_to_save = ['classifier', 'score']
    })
    await expect(loadAdapter(folder)).rejects.toThrow(/got 2 missing: classifier\.weight, classifier\.bias/)
  })
})

it('a tied output matrix stays unchanged beside token embeddings in the file, as in PEFT', async () => {
  const base = await loadModel(join(golden, 'bases', 'gpt2'))
  const table = noGrad(() => base.body.embedTokens.weight.mul(-0.5).add(0.1))
  const key = 'base_model.model.transformer.wte.weight'
  const [one, both] = await Promise.all(
    [false, true].map((head) =>
      changedCopy('gpt2-lora', `table-${head}`, (tensors, fields) => {
        tensors.set(key, table)
        if (head) tensors.set('base_model.model.lm_head.weight', base.body.embedTokens.weight)
        fields.modules_to_save = head ? ['wte', 'lm_head'] : ['wte']
      }),
    ),
  )
  const expected = await expectedOf('gpt2-lora')
  const [alone, beside] = await Promise.all(
    [one, both].map(async (folder) => run((await loadAdapter(folder)).model, expected)),
  )
  expect(alone.equal(beside)).toBe(true)
  expect(relative(alone, expected.tensor('logits'))).toBeGreaterThan(1e-2)
})

describe('merged', () => {
  it.each(names.filter((name) => !/prefix|prompt/.test(name)))(
    '%s gives a plain folder of the same logits',
    async (name) => {
      const expected = await expectedOf(name)
      const { model, applied } = await loadAdapter(join(golden, name))
      const before = run(model, expected)
      applied.merge()
      const folder = join(scratch, `${name}-merged`)
      await saveModel(model, folder)
      const merged = run(model, expected)
      expect(relative(merged, before)).toBeLessThan(1e-5)
      const plain = await loadModel(folder)
      expect([...plain.parameters().keys()].some((path) => path.includes('adapters'))).toBe(false)
      expect(run(plain, expected).equal(merged)).toBe(true)
      applied.unmerge()
      expect(run(model, expected).equal(before)).toBe(true)
    },
  )
})

describe('initial values that decompose the base', () => {
  const products = openPlaced(join(golden, 'bases', 'initial-products.safetensors'))
  const lora = { type: 'lora', rank: 4, alpha: 6 } as const
  const patterns = { llama: { qProj: 3 }, gpt2: { '{qProj,kProj,vProj}': 3 } }

  it.each([
    ['llama', 'pissa'],
    ['llama', 'olora'],
    ['gpt2', 'pissa'],
  ] as const)('%s with %s begins with the products of PEFT, and is plain LoRA in files', async (name, init) => {
    const base = await loadModel(join(golden, 'bases', name))
    const expected = await expectedOf(`${name}-lora`)
    const before = run(base, expected)
    const rankPattern = patterns[name]
    const applied = applyAdapter(base, { ...lora, init, rankPattern }, { seed: 4 })
    expect(relative(run(base, expected), before)).toBeLessThan(1e-5)
    const folder = join(scratch, `${name}-${init}`)
    await saveAdapter(applied, folder, { base: join(golden, 'bases', name) })
    const [file, theirs] = [await openPlaced(join(folder, 'adapter_model.safetensors')), await products]
    const wanted = [...theirs.tensors.keys()].filter((key) => key.startsWith(`${name}.${init}.`))
    expect(wanted.length).toBe(file.tensors.size / 2)
    for (const key of wanted) {
      const module = `base_model.model.${key.slice(`${name}.${init}.`.length)}`
      const [a, b] = ['A', 'B'].map((letter) => file.tensor(`${module}.lora_${letter}.weight`))
      const rank = a.shape[0] / 2
      const product = b
        .narrow(1, 0, rank)
        .matmul(a.narrow(0, 0, rank))
        .mul(lora.alpha / rank)
      // PEFT decomposes in float32, which is 1.7e-4 off a decomposition in float64 where two singular values are near.
      expect(relative(product, theirs.tensor(key)), key).toBeLessThan(3e-4)
      // The initial values are taken off again.
      expect(largest(b.matmul(a)) / largest(product)).toBeLessThan(1e-5)
    }
    noGrad(() => {
      for (const value of applied.trainable.values()) value.detach().mul_(1.3)
    })
    const tuned = run(base, expected)
    expect(relative(tuned, before)).toBeGreaterThan(0.01)
    await saveAdapter(applied, `${folder}-tuned`, { base: join(golden, 'bases', name) })
    const again = await loadAdapter(`${folder}-tuned`)
    expect(relative(run(again.model, expected), tuned)).toBeLessThan(1e-5)
    expect(again.applied.config).toMatchObject({ init: 'default', rank: 8, alpha: 12 })
  })

  it('loftq makes up for most of the error of a quantised base', async () => {
    const load = () => loadModel(join(golden, 'bases', 'llama'))
    const [plain, base] = [await load(), await load()]
    const expected = await expectedOf('llama-lora')
    const wanted = run(plain, expected)
    quantizeWeights(base, 'nf4')
    const error = relative(run(base, expected), wanted)
    const original = (path: string) => plain.parameters().get(`${path}.weight`)
    expect(() => applyAdapter(base, { ...lora, init: 'loftq' })).toThrow(/before it was quantised/)
    applyAdapter(base, { ...lora, init: 'loftq', rank: 8 }, { original })
    expect(relative(run(base, expected), wanted)).toBeLessThan(0.8 * error)
  })

  it.each([
    [{ init: 'olora', initIterations: 3 }, /`adapter.initIterations` needs `adapter.init` pissa, got olora/],
    [{ init: 'pissa', dora: true }, /`adapter.dora` or `adapter.init` pissa, got both/],
    [{ init: 'pissa', rank: 400 }, /rank of at most 24 for `adapter.init` pissa at body.layers.0.attention.qProj/],
    [{ init: 'loftq' }, /loftq needs a quantised base/],
    [{ rankPattern: { oProjj: 3 } }, /Expected patterns of adapted layers.*`adapter.rankPattern`, got oProjj/],
    [{ targets: ['layers.{4-2}.qProj'] }, /range from a smaller to a larger number/],
    [{ targets: ['q['] }, /Expected a layer as its name, or a path/],
    [{ targets: ['embedTokens'], init: 'pissa' }, /pissa has no effect on the token embeddings alone/],
    [{ targets: ['embedTokens'], dropout: 0.1 }, /`adapter.dropout` has no effect on the token embeddings/],
    [{ targets: ['qProj', 'embedTokens'], dora: true }, /`adapter.dora` needs linear layers, got the token embeddings/],
    [{ targets: ['embedTokens'], tokens: ['a'] }, /`adapter.tokens` or embedTokens .*, got both/],
    [{ targets: ['qProj', 'lmHead'], tokens: ['a'] }, /`adapter.tokens` or lmHead .*, got both/],
    [{ targets: ['qPorj'] }, /`adapter.targets`, got qPorj. Did you mean `qProj`\?/],
  ] as const)('refuses %j', async (settings, message) => {
    const base = await loadModel(join(golden, 'bases', 'llama'))
    expect(() => applyAdapter(base, { ...lora, rank: 2, ...settings } as never)).toThrow(message)
  })
})

it('LoRA of the embeddings is refused where encoder and decoder share them, as PEFT ignores it there', async () => {
  const base = await loadModel(join(golden, 'bases', 't5'))
  expect(() => applyAdapter(base, { type: 'lora', targets: 'embedTokens' })).toThrow(/needs a model with one stack/)
  expect(base.parameters().size).toBe((await loadModel(join(golden, 'bases', 't5'))).parameters().size)
})

it('LoRA of the embeddings is mixed in a batch, averaged exactly, and starts as the base', async () => {
  const base = await loadModel(join(golden, 'bases', 'gpt2'))
  const expected = await expectedOf('gpt2-embedding')
  const before = run(base, expected)
  const applied = applyAdapter(base, { type: 'lora', targets: 'embedTokens', loraPlusRatio: 16 }, { name: 'one' })
  expect(run(applied.model, expected).equal(before)).toBe(true)
  for (const path of applied.trainable.keys()) expect(applied.learningRateScale(path)).toBe(1)
  await loadAdapter(join(golden, 'gpt2-embedding'), { base, name: 'two' })
  const { bank } = applied
  expect(bank.canMix('one') && bank.canMix('two')).toBe(true)
  const inputIds = expected.tensor('ids').narrow(0, 0, 1)
  const logits = (ids: Tensor, starts?: Tensor) => noGrad(() => base.forward({ inputIds: ids, starts }).logits)
  bank.activate('two')
  const alone = logits(inputIds)
  bank.activate([])
  const twice = cat([inputIds, inputIds], 1)
  const mixed = bank.routed(
    [
      { name: null, from: 0, count: 7 },
      { name: 'two', from: 7, count: 7 },
    ],
    () => logits(twice, tensor([0, 7, 14], { dtype: 'int64' })),
  )
  expect(largest(mixed.narrow(1, 7, 7).sub(alone))).toBeLessThan(1e-5)
  expect(largest(mixed.narrow(1, 0, 7).sub(logits(inputIds)))).toBeLessThan(1e-5)
  expect(relative(alone, mixed.narrow(1, 0, 7))).toBeGreaterThan(0.01)
  bank.average('half', [{ name: 'two', weight: 0.5 }])
  bank.activate('half')
  const half = base.body.embedTokens.forward(inputIds)
  bank.activate('two')
  const full = base.body.embedTokens.forward(inputIds)
  bank.activate([])
  const plain = base.body.embedTokens.forward(inputIds)
  expect(largest(half.sub(full.add(plain).mul(0.5)))).toBeLessThan(1e-6)
})

it('shared matrices of VeRA that a file lacks are those of its seed, as in PEFT', async () => {
  const folder = await changedCopy('llama-vera', 'no-projections', (tensors, fields) => {
    for (const key of [...tensors.keys()]) if (/vera_[AB]$/.test(key)) tensors.delete(key)
    fields.save_projection = false
  })
  const expected = await expectedOf('llama-vera')
  expect(relative(run((await loadAdapter(folder)).model, expected), expected.tensor('logits'))).toBeLessThan(1e-5)
})

it('shared matrices of VeRA that a file has are saved again, also where its seed gives others', async () => {
  const stored = new Map<string, Tensor>()
  const folder = await changedCopy('llama-vera', 'other-projections', (tensors) => {
    for (const [key, tensor] of tensors)
      if (/vera_[AB]$/.test(key)) {
        stored.set(key, tensor.mul(-1))
        tensors.set(key, tensor.mul(-1))
      }
  })
  const { applied } = await loadAdapter(folder)
  await saveAdapter(applied, join(scratch, 'saved-projections'))
  const file = await openPlaced(join(scratch, 'saved-projections', 'adapter_model.safetensors'))
  expect(stored.size).toBe(2)
  for (const [key, tensor] of stored) expect(file.tensor(key).equal(tensor), key).toBe(true)
})

it('OFT of the output layer is in losses that compute logits in chunks', async () => {
  const folder = await changedCopy('llama-oft', 'turned-output', (tensors, fields) => {
    const [, blocks] = [...tensors].find(([key]) => key.includes('q_proj'))!
    tensors.set('base_model.model.lm_head.oft_R.weight', blocks)
    fields.target_modules = [...(fields.target_modules as string[]), 'lm_head']
  })
  const expected = await expectedOf('llama-oft')
  const { model } = await loadAdapter(folder)
  const logits = run(model, expected)
  expect(relative(logits, run((await loadAdapter(join(golden, 'llama-oft'))).model, expected))).toBeGreaterThan(0.01)
  const { hidden } = model.bodyForward({ inputIds: expected.tensor('ids'), attentionMask: expected.tensor('mask') })
  const { matrix } = (model.head as unknown as LanguageHead).outputLayer
  expect(relative(hidden.matmul(matrix.t()), logits)).toBeLessThan(1e-5)
})

it('layers by pattern are trained alone, and are the targets of the file', async () => {
  const base = await loadModel(join(golden, 'bases', 'llama'))
  const applied = applyAdapter(base, { type: 'lora', targets: 'layers.1.*.{q,v}Proj,layers.0.mlp.*' })
  const layers = new Set([...applied.trainable.keys()].map((path) => path.replace(/\.adapters.*/, '')))
  expect([...layers].map((path) => path.replace('body.layers.', ''))).toEqual([
    ...['gateProj', 'upProj', 'downProj'].map((name) => `0.mlp.${name}`),
    ...['qProj', 'vProj'].map((name) => `1.attention.${name}`),
  ])
  const folder = join(scratch, 'by-pattern')
  await saveAdapter(applied, folder, { base: join(golden, 'bases', 'llama') })
  const again = await loadAdapter(folder)
  expect([...again.applied.trainable.keys()].sort()).toEqual([...applied.trainable.keys()].sort())
})

it('an output layer of another base beside its LoRA is refused', async () => {
  const folder = await changedCopy('llama-output', 'other-output', (tensors) => {
    const key = [...tensors.keys()].find((one) => one.endsWith('lm_head.base_layer.weight'))!
    tensors.set(key, tensors.get(key)!.add(1))
  })
  await expect(loadAdapter(folder)).rejects.toThrow(/own matrix for lm_head\.base_layer\.weight, got another one/)
})

it('LoRA of the output layer is in losses that compute logits in chunks, and refuses dropout', async () => {
  for (const name of ['llama-output', 'qwen2-output']) {
    const expected = await expectedOf(name)
    const { model } = await loadAdapter(join(golden, name))
    const { hidden } = model.bodyForward({ inputIds: expected.tensor('ids'), attentionMask: expected.tensor('mask') })
    const head = model.head as unknown as LanguageHead
    const logits = head.prepare(hidden).matmul(head.outputLayer.matrix.t())
    expect(relative(seen(logits, expected), seen(expected.tensor('logits'), expected))).toBeLessThan(1e-5)
    expect(() => applyAdapter(model, { type: 'lora', targets: 'lmHead', dropout: 0.1 }, { name: 'other' })).toThrow(
      /`adapter.dropout` has no effect on the output layer/,
    )
  }
})
