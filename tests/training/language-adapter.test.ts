// Continued pretraining that trains an adapter in place of the base: a language adapter of an encoder (MAD-X) by command, which resumes to the
// bit, opens as any adapter does, and carries a task adapter.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel } from '../../src/checkpoint/index.ts'
import { sha256File } from '../../src/core/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import { finetune, pretrain, verifyResume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { listSnapshots } from '../../src/training/index.ts'
import { apart, logitsOf } from '../adapters/outputs.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (...names: string[]) => join(data.root, ...names)

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 8 } }))
})
afterAll(() => data.dispose())

const recipe = (out: string, more: object = {}) =>
  smallRecipe(data, at(out), {
    base,
    model: undefined,
    variant: 'pfeiffer',
    adapter: { invertible: true, size: 16 },
    learningRate: 0.01,
    budget: { steps: 60 },
    evaluate: { steps: 30 },
    average: undefined,
    ...more,
  })

describe('continued pretraining with a variant', () => {
  it('trains a language adapter of an encoder: the base stays, and what is written is the best checkpoint', async () => {
    const before = await sha256File(at('base/model/model.safetensors'))
    const events: TrainingEvent[] = []
    const notes: string[] = []
    const { metrics, reason } = await pretrain(recipe('language'), {
      onEvent: (event) => events.push(event),
      onNote: (note) => notes.push(note),
    })
    expect(reason).toBe('finished')
    expect(await sha256File(at('base/model/model.safetensors'))).toBe(before)
    const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(losses.slice(-15))).toBeLessThan(mean(losses.slice(0, 15)) - 0.1)
    expect(metrics.perplexity).toBeGreaterThan(1)
    expect(notes.join('\n')).toMatch(/Opened .*base\/model for `base`/)

    const model = at('language', 'model')
    expect(existsSync(join(model, 'model.safetensors'))).toBe(false)
    expect(JSON.parse(readFileSync(join(model, 'adapter_config.json'), 'utf8'))).toMatchObject({
      base_model_name_or_path: at('base/model'),
      tunesmith: { invertible: true },
    })
    const opened = await loadForInference({ model: at('language') })
    expect(opened.model.headType).toBe('masked-lm')
    const logits = logitsOf(opened.model)
    const card = JSON.parse(readFileSync(at('language', 'run-card.json'), 'utf8')) as { modelStep: number }
    const snapshot = (await listSnapshots(at('language'))).find(({ step }) => step === card.modelStep)
    expect(snapshot).toBeDefined()
    const kept = await loadForInference({ model: join(snapshot?.path ?? '', 'model') })
    expect(apart(logits, logitsOf(kept.model))).toBe(0)
    expect(apart(logits, logitsOf(await loadModel(base)))).toBeGreaterThan(0.1)
    expect(await verifyResume(at('language'), { steps: 2 })).toMatchObject({ equal: true, different: [] })
  })

  it('carries a task adapter, and begins another run', async () => {
    const rows = Array.from({ length: 60 }, (_, i) =>
      JSON.stringify({ text: `old bird ${i % 2 ? 'stone' : 'green'} ${i}`, label: i % 2 ? 'rock' : 'plant' }),
    )
    writeFileSync(at('rows.jsonl'), rows.join('\n'))
    await finetune({
      base,
      stack: [at('language')],
      task: 'sequence-classification',
      data: at('rows.jsonl'),
      variant: 'pfeiffer',
      out: at('task'),
      maxLength: 16,
      budget: { steps: 3 },
    } as unknown as Parameters<typeof finetune>[0])
    // The untrained base has the language adapter, and the head of the task.
    const { references } = JSON.parse(readFileSync(at('task/model/evaluation.json'), 'utf8')) as {
      references: { name: string }[]
    }
    expect(references.map(({ name }) => name)).toContain('untrained base')
    const { model } = await loadForInference({ model: at('task') })
    expect(model.headOptions.labels).toEqual(['plant', 'rock'])
    const notes: string[] = []
    await pretrain(recipe('more', { base: at('language'), adapter: {}, budget: { steps: 2 } }), {
      onNote: (note) => notes.push(note),
    })
    expect(notes.join('\n')).toMatch(/Opened the adapter .*language\/model on .*trained further/)
  })

  it('runs by command, with an average of the weights and LoRA, in the format of PEFT', async () => {
    const { code, stderr } = await runHere([
      ...['pretrain', '--base', base, '--variant', 'lora', '--adapter.rank', '2', '--objective.type', 'masked-lm'],
      ...['--data', data.shards, '--tokenizer', data.tokenizer, '--max-length', '32', '--batch.sequences', '4'],
      ...['--budget.steps', '4', '--average.decay', '0.5', '--validation-examples', '4', '--out', at('lora')],
    ])
    expect(stderr).not.toMatch(/Expected/)
    expect(code).toBe(0)
    expect(JSON.parse(readFileSync(at('lora/model/adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'LORA',
      r: 2,
    })
  })

  it('is refused without a base, with another architecture, and for objectives with two models', async () => {
    const fault = (more: object) => pretrain(recipe('wrong', more))
    await expect(fault({ base: undefined, model: { type: 'bert', preset: 'test' } })).rejects.toThrow(
      /`variant` pfeiffer needs a pretrained model: set `base`/,
    )
    await expect(fault({ variant: undefined, adapter: {}, base: at('language') })).rejects.toThrow(
      /The adapter .* as `base` needs `variant`/,
    )
    await expect(fault({ variant: undefined })).rejects.toThrow(/`adapter` needs a fine-tuning method/)
    await expect(fault({ model: { config: { dropout: 0 } } })).rejects.toThrow(/`model.config` changes a base/)
    await expect(fault({ objective: { type: 'replaced-token-detection' } })).rejects.toThrow(
      /needs an objective with one model, got replaced-token-detection/,
    )
    await expect(fault({ frozenWeights: 'bfloat16', precision: 'bfloat16' })).rejects.toThrow(/no effect with bfloat16/)
  })
})
