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
  albert: 'sequence-classification',
  camembert: 'token-classification',
  'xlm-roberta': 'sequence-classification',
  mpnet: 'sequence-classification',
  'deberta-v2': 'sequence-classification',
  modernbert: 'sequence-classification',
  bart: 'seq2seq-lm',
  mbart: 'seq2seq-lm',
  mt5: 'seq2seq-lm',
  'gpt-neox': 'causal-lm',
  mistral: 'causal-lm',
  mixtral: 'causal-lm',
  qwen2: 'causal-lm',
  'qwen3-moe': 'causal-lm',
  gemma: 'causal-lm',
  gemma2: 'causal-lm',
  gemma3: 'causal-lm',
  phi3: 'causal-lm',
  olmo2: 'causal-lm',
  smollm3: 'causal-lm',
}
/** Settings beside those of the test preset. */
const settings: Partial<Record<ModelType, Record<string, unknown>>> = { mbart: { scaleEmbeddings: true } }
const twoStacks = ['t5', 'mt5', 'bart', 'mbart']
const experts = ['mixtral', 'qwen3-moe']
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
const onAttention = { targets: ['qProj', 'vProj'] }
/** PEFT's prefixes want a model that takes keys of earlier tokens. */
const pairs = Object.keys(heads).flatMap((architecture) =>
  Object.keys(configs)
    // PEFT has these for nn.Linear alone, which GPT-2 does not use.
    .filter((name) => architecture !== 'gpt2' || !['loha', 'lokr', 'oft'].includes(name))
    // PEFT ignores LoRA on embeddings that encoder and decoder share, and we refuse it.
    .filter((name) => name !== 'embedding' || !twoStacks.includes(architecture))
    .filter((name) => name !== 'prefix' || /-lm$/.test(heads[architecture as ModelType] ?? ''))
    .map((name) => [architecture as ModelType, name] as const),
)

describe.skipIf(python === undefined)('PEFT opens our adapters (needs the Python of bench/peers)', () => {
  it(`with equal logits: ${pairs.length} adapters`, async () => {
    for (const [architecture, name] of pairs) {
      const definition = models[architecture] as (typeof models)['bert']
      const config = definition.adjust(definition.presets.test, settings[architecture] ?? {})
      const model = buildModel(definition as never, config, heads[architecture] as HeadType, {
        labels: ['a', 'b', 'c'],
      })
        .initialize({ std: 0.2, generator: new Generator(1) })
        .eval()
      const folder = join(scratch, `${architecture}-${name}`)
      // The classes of Phi 3 and SmolLM3 assume a token for padding that small vocabularies do not have.
      const fields = ['phi3', 'smollm3'].includes(architecture) ? { pad_token_id: 0 } : {}
      await saveModel(model, join(folder, 'base'), { fields })
      // PEFT has low-rank products alone for the tensors of all experts.
      const targets =
        experts.includes(architecture) && /^(adalora|loha|lokr|vera|oft|ia3|pissa)$/.test(name) ? onAttention : {}
      const applied = applyAdapter(model, { ...configs[name], ...targets } as AdapterInput, { seed: 2 })
      const generator = new Generator(3)
      noGrad(() => {
        for (const value of applied.trainable.values()) value.detach().add_(value.mul(0).normal_(0, 0.2, { generator }))
      })
      await saveAdapter(applied, join(folder, 'adapter'), { base: join(folder, 'base') })
      const ids = tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10, 11, 12], BigInt), { shape: [2, 4] })
      const mask = tensor([1, 1, 1, 1, 1, 1, 1, 1], { dtype: 'int64' }).view([2, 4])
      const isPair = twoStacks.includes(architecture)
      const { logits } = noGrad(() =>
        model.forward({ inputIds: ids, attentionMask: mask, decoderInputIds: isPair ? ids : undefined }),
      )
      await saveSafetensors(
        join(folder, 'ours.safetensors'),
        new Map([
          ['input_ids', ids],
          ['attention_mask', mask],
          ...(isPair ? ([['decoder_input_ids', ids]] as const) : []),
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
      // The attention of T5 is not scaled: its scores are large, and float32 is what differs.
      expect(difference, name).toBeLessThan(name.startsWith('mt5') ? 1e-4 : 1e-5)
      // PEFT looks for the ranks of experts among the modules too, and says so.
      expect(
        warnings.filter((line) => !line.includes('gate_up_proj')),
        name,
      ).toEqual([])
    }
  })
})
