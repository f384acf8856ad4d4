// PEFT loads our adapters and bases with our logits, without missing or unexpected keys.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { peersPython } from '../../bench/side-by-side.ts'
import { type AdapterInput, applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { saveModel, saveSafetensors } from '../../src/checkpoint/index.ts'
import { buildModel, type HeadType, type ModelType, models } from '../../src/models/index.ts'
import { Generator, noGrad, tensor } from '../../src/tensor/index.ts'

const python = peersPython()
const scratch = mkdtempSync(join(tmpdir(), 'open-adapters-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const heads: Partial<Record<ModelType, HeadType>> = {
  bert: 'sequence-classification',
  roberta: 'token-classification',
  distilbert: 'sequence-classification',
  electra: 'sequence-classification',
  gpt2: 'causal-lm',
  llama: 'causal-lm',
  qwen3: 'causal-lm',
  t5: 'seq2seq-lm',
}
const configs: Record<string, AdapterInput> = {
  lora: { type: 'lora', targets: 'all-linear', rank: 3 },
  'lora-part': { type: 'lora', targets: ['vProj', 'oProj'], rank: 3, rsLora: true, alpha: 5 },
  'lora-head': { type: 'lora', targets: ['qProj', 'vProj'], rank: 2, trainHead: true },
  dora: { type: 'lora', targets: ['qProj', 'vProj'], dora: true, rank: 2 },
  embedding: { type: 'lora', targets: ['embedTokens', 'vProj'], rank: 3, rankPattern: { embedTokens: 2 } },
  pissa: { type: 'lora', init: 'pissa', rank: 4, rankPattern: { 'layers.0.*': 3 } },
  adalora: { type: 'adalora', initialRank: 4, targetRank: 2 },
  loha: { type: 'loha', rank: 2 },
  lokr: { type: 'lokr', rank: 2, decomposeBoth: true },
  vera: { type: 'vera', rank: 6 },
  oft: { type: 'oft', blockSize: 8 },
  ia3: { type: 'ia3' },
  prefix: { type: 'prefix-tuning', virtualTokens: 3 },
  prompt: { type: 'prompt-tuning', virtualTokens: 3 },
}
/** PEFT's prefixes want a model that takes keys of earlier tokens. */
const pairs = Object.keys(heads).flatMap((architecture) =>
  Object.keys(configs)
    // PEFT has these for nn.Linear alone, which GPT-2 does not use.
    .filter((name) => architecture !== 'gpt2' || !['loha', 'lokr', 'oft'].includes(name))
    // PEFT ignores LoRA on embeddings that encoder and decoder share, and we refuse it.
    .filter((name) => name !== 'embedding' || architecture !== 't5')
    .filter((name) => name !== 'prefix' || ['gpt2', 'llama', 'qwen3', 't5'].includes(architecture))
    .map((name) => [architecture as ModelType, name] as const),
)

describe.skipIf(python === undefined)('PEFT opens our adapters (needs the Python of bench/peers)', () => {
  it(`with equal logits: ${pairs.length} adapters`, async () => {
    for (const [architecture, name] of pairs) {
      const definition = models[architecture] as (typeof models)['bert']
      const config = definition.adjust(definition.presets.test, {})
      const model = buildModel(definition as never, config, heads[architecture] as HeadType, {
        labels: ['a', 'b', 'c'],
      })
        .initialize({ std: 0.2, generator: new Generator(1) })
        .eval()
      const folder = join(scratch, `${architecture}-${name}`)
      await saveModel(model, join(folder, 'base'))
      const applied = applyAdapter(model, configs[name], { seed: 2 })
      const generator = new Generator(3)
      noGrad(() => {
        for (const value of applied.trainable.values()) value.detach().add_(value.mul(0).normal_(0, 0.2, { generator }))
      })
      await saveAdapter(applied, join(folder, 'adapter'), { base: join(folder, 'base') })
      const ids = tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10, 11, 12], BigInt), { shape: [2, 4] })
      const mask = tensor([1, 1, 1, 1, 1, 1, 1, 1], { dtype: 'int64' }).view([2, 4])
      const isT5 = architecture === 't5'
      const { logits } = noGrad(() =>
        model.forward({ inputIds: ids, attentionMask: mask, decoderInputIds: isT5 ? ids : undefined }),
      )
      await saveSafetensors(
        join(folder, 'ours.safetensors'),
        new Map([
          ['input_ids', ids],
          ['attention_mask', mask],
          ...(isT5 ? ([['decoder_input_ids', ids]] as const) : []),
          ['logits', logits.contiguous()],
        ]),
      )
    }
    const script = fileURLToPath(new URL('open_ours.py', import.meta.url))
    const ran = spawnSync(python as string, [script, scratch], {
      encoding: 'utf8',
      env: { ...process.env, HF_HUB_OFFLINE: '1' },
    })
    expect(ran.status, ran.stderr.slice(-2000)).toBe(0)
    const rows = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '') as {
      name: string
      difference: number
      warnings: string[]
    }[]
    expect(rows.length).toBe(pairs.length)
    for (const { name, difference, warnings } of rows) {
      expect(difference, name).toBeLessThan(1e-5)
      expect(warnings, name).toEqual([])
    }
  })
})
