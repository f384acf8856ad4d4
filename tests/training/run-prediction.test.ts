// What runs predict of themselves before their first step, beside what they measure, in their folders and run cards.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { SharedData } from '../../src/runs/engine/run-kind.ts'
import { finetune, pretrain, type RunListener, resume, runInSubprocess } from '../../src/runs/index.ts'
import { kindOf, startOf } from '../../src/runs/kinds.ts'
import { predictRun } from '../../src/runs/plan/predict-run.ts'
import { type RunPrediction, readRunCard } from '../../src/tracking/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
  // Calibrations of this machine are those of the tests.
  vi.stubEnv('XDG_CACHE_HOME', join(data.root, 'cache'))
})
afterAll(() => {
  vi.unstubAllEnvs()
  data.dispose()
})

const folder = (name: string) => join(data.root, name)
/** A run in a process of its own, whose memory is its own. */
const apart = (name: string, more: object = {}, listener: RunListener = {}) => {
  const recipe = { ...smallRecipe(data, folder(name), { ...wide, ...more }), command: 'pretrain' }
  return runInSubprocess(recipe, listener)
}
const wide = { model: { type: 'bert', preset: 'test', config: { hiddenSize: 128, numLayers: 3 } } }
const cardOf = async (name: string) => (await readRunCard(folder(name)))!

describe('a run', () => {
  test('keeps its prediction beside its measurements', async () => {
    let shown: RunPrediction | undefined
    await apart(
      'whole',
      {},
      {
        onPreFlight: (_, { prediction }) => {
          shown = prediction
        },
      },
    )
    const { prediction, measured, flops, tokens, parameters } = await cardOf('whole')
    expect(prediction).toEqual(shown)
    expect(JSON.parse(readFileSync(join(folder('whole'), 'plan.json'), 'utf8'))).toEqual(prediction)
    expect(prediction).toMatchObject({ steps: 20, trainedParameters: parameters, notes: [] })
    expect(Math.abs(measured!.peakBytes / prediction!.peakBytes - 1)).toBeLessThan(0.01)
    expect(measured!.flops).toBeCloseTo((prediction!.flopsPerStep / prediction!.tokensPerStep) * tokens)
    expect(flops).toBe(measured!.flops)
    expect(measured!.seconds).toBeGreaterThan(0)
    expect(measured!.rssBytes).toBeGreaterThan(measured!.peakBytes)
    const text = readFileSync(join(folder('whole'), 'run-card.md'), 'utf8')
    expect(text).toMatch(/\| peak of tensors \| .* \| .* \| [+−]0\.\d % \|/)
  })

  test('that was stopped keeps the prediction of its start', async () => {
    const aborter = new AbortController()
    await pretrain(smallRecipe(data, folder('stopped')), {
      signal: aborter.signal,
      onEvent: ({ step }) => void (step === 6 && aborter.abort()),
    })
    const before = readFileSync(join(folder('stopped'), 'plan.json'), 'utf8')
    await resume(folder('stopped'))
    const { prediction, measured, tokens } = await cardOf('stopped')
    expect(JSON.parse(before)).toEqual(prediction)
    // Steps of both sessions.
    expect(measured!.flops).toBeCloseTo((prediction!.flopsPerStep / prediction!.tokensPerStep) * tokens)
  })

  test('that fine-tunes has every note once, and a prediction', async () => {
    const base = folder('whole')
    const file = folder('rows.jsonl')
    const rows = Array.from({ length: 40 }, (_, i) => ({ text: `the house ${i}`, label: `${i % 2}` }))
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
    const notes: string[] = []
    await finetune(
      {
        base,
        task: 'sequence-classification',
        data: file,
        out: folder('tuned'),
        variant: 'lora',
        budget: { steps: 2 },
      },
      { onNote: (line) => void notes.push(line) },
    )
    // Every note of reading and encoding is there, and once.
    expect(new Set(notes).size).toBe(notes.length)
    expect(notes.join('\n')).toMatch(/validation/)
    const { prediction, measured } = await cardOf('tuned')
    expect(prediction!.trainedParameters).toBeLessThan(prediction!.parameters)
    expect(measured!.peakBytes).toBeGreaterThan(0)
  })
})

describe('memory that is short', () => {
  test('lets all changes of a run share its data, but for another method', async () => {
    const shared = new SharedData()
    const seen = new Set<string>()
    const real = kindOf('finetune')
    const kind: typeof real = {
      ...real,
      build: (recipe, context) => {
        const { variant } = recipe as { variant?: string }
        seen.add(
          `${variant} ${context.shared === shared ? 'shares' : context.shared === undefined ? 'alone' : 'copies'}`,
        )
        return real.build(recipe, context)
      },
    }
    const input = {
      base: folder('whole'),
      task: 'sequence-classification',
      data: folder('rows.jsonl'),
      out: folder('x'),
    }
    const recipe = await startOf('finetune').resolve({ ...input, variant: 'full', memoryBudget: 1 })
    try {
      await expect(predictRun(kind, recipe, { shared })).rejects.toThrow(/Expected a run that fits in memory/)
    } finally {
      await shared.close()
    }
    expect([...seen].sort()).toEqual(['full shares', 'lora alone'])
  })

  const batch = { sequences: 16, microTokens: 512 }

  test('is a note where smaller micro-batches fit', async () => {
    await apart('plenty', { budget: { steps: 1 }, batch })
    const { peakBytes } = (await cardOf('plenty')).measured!
    let prediction: RunPrediction | undefined
    const incidents: string[] = []
    await apart(
      'short',
      { budget: { steps: 1 }, batch, memoryBudget: peakBytes - 1000 },
      {
        onPreFlight: (_, start) => void (prediction = start.prediction),
        onEvent: (event) => void (event.type === 'incident' && incidents.push(event.message)),
      },
    )
    expect(prediction?.notes.join()).toMatch(/micro-batches will be halved.* It fits with batch\.microTokens 256/)
    // The run does what was foretold.
    expect(incidents.join()).toMatch(/micro-batches are now 256 tokens/)
    expect((await cardOf('short')).measured!.peakBytes).toBeLessThan(peakBytes)
  })

  test('is refused where one example does not fit', async () => {
    const { prediction } = await cardOf('plenty')
    const start = apart('refused', { memoryBudget: Math.round(prediction!.peakBytes / 3) })
    await expect(start).rejects.toThrow(/Expected a run that fits in memory.*`memoryBudget`.*smaller model/)
    expect(existsSync(join(folder('refused'), 'run.json'))).toBe(false)
  })
})
