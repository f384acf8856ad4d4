// The pre-flight shows what will be trained and refuses what cannot learn; validation losses; checkpoints as files.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ConfigError, DataError } from '../../src/core/index.ts'
import { noGrad } from '../../src/tensor/index.ts'
import {
  evaluateValidation,
  listSnapshots,
  newestSnapshot,
  preFlight,
  pruneSnapshots,
  readSnapshot,
  removeLeftovers,
  setAsideAfter,
  snapshotPath,
  train,
  verifySnapshot,
  writeSnapshot,
} from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import { vocabulary } from '../objectives/small-models.ts'
import { eventsOf, type Kind, kinds, lossesOf, objectiveOf, packedSource, runOf } from './small-loop.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-snapshots-'))
afterAll(() => rmSync(root, { recursive: true }))

const factsOf = (kind: Kind, more: object = {}) => {
  const { trainable, optimizer, stream } = runOf(kind, {})
  return {
    trainable,
    optimizer,
    stream,
    batch: { sequences: 4 },
    microTokens: 64,
    vocabulary,
    vocabSize: 128,
    decode: (ids: readonly number[]) => ids.join(' '),
    ...more,
  }
}

it.each(kinds)('%s: the pre-flight shows a batch and counts what a run takes', (kind) => {
  const facts = factsOf(kind)
  const flight = preFlight(facts)
  const examples = [0, 1, 2, 3].map((i) => facts.stream.example(i).example)
  const { objective, parameters } = facts.trainable
  expect(flight.tokensPerStep).toBe(examples.reduce((sum, example) => sum + objective.tokens(example), 0))
  expect(flight.example).toContain('⟦')
  expect(flight.trainedShare).toBeGreaterThan(0.1)
  expect(flight.trainedShare).toBeLessThanOrEqual(1)
  expect(flight.truncatedShare).toBe(0)
  expect(flight.parameters).toBe([...parameters.values()].reduce((sum, { size }) => sum + size, 0))
  expect(flight.memory.parameters).toBe(4 * flight.parameters)
  expect(flight.memory.optimizer).toBe(8 * flight.parameters)
  expect(flight.warnings).toEqual([])
})

it('refuses a vocabulary larger than the model, and batches without anything to learn', () => {
  expect(() => preFlight(factsOf('gpt2', { vocabSize: 127 }))).toThrow(ConfigError)
  expect(() => preFlight(factsOf('gpt2', { vocabSize: 127 }))).toThrow('a vocabulary of at least 128')
  const nothing = { ids: Uint32Array.of(9), starts: [0], labels: Int32Array.of(-100), trained: 0, cut: 0 }
  const empty = { perEpoch: 5, example: () => ({ example: nothing as never, cut: 0 }) }
  expect(() => preFlight(factsOf('gpt2', { stream: empty }))).toThrow(DataError)
})

it('warns of a missing end-of-text token and of truncation', () => {
  const warningsOf = (more: object) => preFlight(factsOf('gpt2', more)).warnings
  expect(warningsOf({ vocabulary: { ...vocabulary, eos: undefined, sep: undefined } })).toEqual([
    expect.stringContaining('no end-of-text token'),
  ])
  const inner = packedSource(objectiveOf('gpt2'))
  const cutting = { perEpoch: 40, example: (i: number) => ({ ...inner.example(i), cut: 10 }) }
  expect(warningsOf({ stream: cutting })).toEqual([expect.stringMatching(/^\d+\.\d % of the tokens are truncated/)])
})

it('warns of a budget too small to learn from, and of a validation split of no, one or two documents', () => {
  const warningsOf = (more: object) => preFlight(factsOf('gpt2', more)).warnings
  expect(warningsOf({ steps: 9, enoughSteps: 100 })).toEqual([
    expect.stringMatching(/^The budget is 9 steps: too few to learn from.*Set `budget.steps` to 100 or more\.$/),
  ])
  expect(warningsOf({ steps: 1, enoughSteps: 100 })).toEqual([expect.stringContaining('The budget is 1 step:')])
  expect(warningsOf({ validationDocuments: 0 })).toEqual([expect.stringContaining('validation split has no documents')])
  expect(warningsOf({ validationDocuments: 1 })).toEqual([expect.stringContaining('validation split has 1 document:')])
  expect(warningsOf({ validationDocuments: 2 })).toEqual([expect.stringContaining('validation split has 2 documents:')])
  expect(warningsOf({ steps: 100, enoughSteps: 100, validationDocuments: 3 })).toEqual([])
  expect(warningsOf({ enoughSteps: 100 })).toEqual([])
})

it('warns of a warmup that does not end within the run, with the highest learning rate that is reached', () => {
  const warningsOf = (steps: number | undefined, schedule: object) =>
    preFlight(
      factsOf('gpt2', {
        steps,
        learningRate: 1e-3,
        schedule: { type: 'linear', warmupShare: 0, floor: 0, ...schedule },
      }),
    ).warnings
  // The last of 12 steps is the 12th value of the warmup, which begins at 0: 11/1000 of the peak.
  expect(warningsOf(12, { warmupSteps: 1000 })).toEqual([
    'The learning-rate warmup has 1000 steps, the run 12: the highest learning rate is 0.000011, 1.1 % of 0.001. Set `schedule.warmupSteps` to fewer steps than the run has, or leave it out and set `schedule.warmupShare`, for instance to 0.1.',
  ])
  expect(warningsOf(1, { warmupSteps: 1 })).toEqual([
    expect.stringContaining('has 1 step, the run 1: the highest learning rate is 0, 0 %'),
  ])
  expect(warningsOf(12, { warmupSteps: 11 })).toEqual([])
  expect(warningsOf(12, { warmupSteps: 0, warmupShare: 1 })).toEqual([])
  expect(warningsOf(undefined, { warmupSteps: 1000 })).toEqual([])
})

it.each(kinds)('%s: validation losses do not depend on parts, and leave the model as it was', async (kind) => {
  const { trainable, stream } = runOf(kind, {})
  trainable.model.train()
  const all = { examples: 12, microTokens: 1e6, padded: false, device: testDevice }
  const whole = await evaluateValidation(trainable, stream, all)
  expect(trainable.model.training).toBe(true)
  expect(whole.loss).toBe(Object.entries(whole).find(([name]) => name.endsWith('-lm'))?.[1])
  for (const how of [
    { ...all, microTokens: 1 },
    { ...all, padded: true, microTokens: 90 },
  ])
    expect(Math.abs((await evaluateValidation(trainable, stream, how)).loss - whole.loss)).toBeLessThan(1e-5)
  // One batch of the loop over the same examples, without dropout, has the same loss.
  const run = runOf(kind, { batch: { sequences: 12 }, budget: { steps: 1 } })
  expect(Math.abs(lossesOf(await eventsOf(run))[0] - whole.loss)).toBeLessThan(1e-5)
  expect(await evaluateValidation(trainable, { ...stream, perEpoch: 12 }, { ...all, examples: 100 })).toEqual(whole)
})

it('a checkpoint gives back every bit; old ones go, those to keep stay', async () => {
  const folder = join(root, 'run')
  const make = () => runOf('gpt2', { average: {}, budget: { steps: 6 }, checkpoint: { steps: 1 } })
  const run = make()
  const parts = { model: run.trainable.model, optimizer: run.optimizer, average: run.average }
  const path = snapshotPath(folder, 6)
  for await (const event of train({ ...run, save: (state) => writeSnapshot(folder, parts, state) }))
    if (event.type === 'checkpoint') await verifySnapshot(snapshotPath(folder, event.step))
  expect((await listSnapshots(folder)).map(({ step }) => step)).toEqual([6, 5, 4, 3, 2, 1])

  const other = make()
  const loaded = { model: other.trainable.model, optimizer: other.optimizer, average: other.average }
  const state = await readSnapshot(path, loaded)
  expect(state).toMatchObject({ step: 6, position: 24, optimizerStep: 6, averageUpdates: 6 })
  const bits = (tensors: ReadonlyMap<string, { detach(): { toTypedArray(): Iterable<number | bigint> } }>) =>
    noGrad(() => [...tensors].map(([name, tensor]) => [name, [...tensor.detach().toTypedArray()]]))
  expect(bits(other.trainable.parameters as never)).toEqual(bits(run.trainable.parameters as never))
  expect(bits(other.optimizer.state().tensors as never)).toEqual(bits(run.optimizer.state().tensors as never))
  expect(bits(other.average?.state().tensors as never)).toEqual(bits(run.average?.state().tensors as never))

  await pruneSnapshots(folder, { last: 1, every: 4, best: 2 })
  expect((await listSnapshots(folder)).map(({ step }) => step)).toEqual([6, 4, 2])
  mkdirSync(join(folder, 'checkpoints', '.step-00000007.0123456789ab.tmp', 'model'), { recursive: true })
  writeFileSync(join(folder, '.run.json.0123456789ab.tmp'), '')
  await removeLeftovers(folder)
  expect(readdirSync(folder)).toEqual(['checkpoints'])
  // Killed while a checkpoint was being replaced: the old one is aside, and no other is at its place.
  renameSync(snapshotPath(folder, 6), join(folder, 'checkpoints', '.step-00000006.0123456789ab.tmp'))
  await removeLeftovers(folder)
  expect((await newestSnapshot(folder)).found?.step).toBe(6)
  // A manifest that is JSON but no manifest is one line.
  const manifest = join(snapshotPath(folder, 6), 'manifest.json')
  const sound = readFileSync(manifest, 'utf8')
  writeFileSync(manifest, '{"version":2,"files":[]}')
  expect((await newestSnapshot(folder)).damaged).toEqual([
    `${manifest}: Expected the size and the SHA-256 of each file, got something else. The checkpoint is damaged.`,
  ])
  writeFileSync(manifest, sound)
  await setAsideAfter(folder, 4)
  expect(readdirSync(join(folder, 'checkpoints')).sort()).toEqual([
    'damaged-step-00000006',
    'step-00000002',
    'step-00000004',
  ])
  expect((await newestSnapshot(folder)).found?.step).toBe(4)
  expect(await newestSnapshot(join(root, 'nowhere'))).toEqual({ damaged: [] })
})
