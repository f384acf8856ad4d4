// Runs the loop in a run's folder: records what happens, writes checkpoints, and leaves a model, a card and reports behind.
import { cp, mkdir, readFile } from 'node:fs/promises'
import { arch } from 'node:os'
import { join, relative } from 'node:path'
import { saveModel } from '../checkpoint/index.ts'
import { CheckpointError, DataError, parseConfig, writeFileAtomic, writeFolderAtomic } from '../core/index.ts'
import { buildFacts, setMemoryLimit } from '../tensor/index.ts'
import {
  lockRun,
  makeRunCard,
  type RunEvent,
  startEnergyMeter,
  trackRun,
  writeReports,
  writeRunCard,
} from '../tracking/index.ts'
import {
  evaluateHeldOut,
  freshState,
  type LoopState,
  listSnapshots,
  newestSnapshot,
  type PreFlight,
  preFlight,
  pruneSnapshots,
  readSnapshot,
  type SnapshotParts,
  type TrainingEvent,
  train,
  writeSnapshot,
} from '../training/index.ts'
import { type BuiltRun, buildRun } from './build-run.ts'
import { type PretrainRecipe, pretrainSchema } from './recipe.ts'
import { takeSamples } from './samples.ts'

export const RUN_FILE = 'run.json'
export const MODEL_FOLDER = 'model'

export interface RunListener {
  /** Before the first step; `fresh` is false where a run goes on. */
  onPreFlight?(facts: PreFlight, start: { fresh: boolean; step: number }): void
  onEvent?(event: TrainingEvent): void
  onNote?(line: string): void
  signal?: AbortSignal
}

export interface RunResult {
  out: string
  /** The folder that transformers opens; undefined when interrupted before the end. */
  model?: string
  reason: 'finished' | 'interrupted'
  steps: number
  tokens: number
  seconds: number
  loss: number
  metrics: Record<string, number>
}

const partsOf = ({ trainee, optimizer, average }: BuiltRun): SnapshotParts => ({
  model: trainee.model,
  auxiliary: trainee.auxiliary,
  optimizer,
  average,
})

/** The recipe of a run's folder. @throws DataError when there is none */
export const readRecipe = async (folder: string): Promise<PretrainRecipe> => {
  const path = join(folder, RUN_FILE)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError(`${folder}: Expected the folder of a run, with ${RUN_FILE}, found none. Check the path.`)
  })
  return { ...parseConfig(pretrainSchema, JSON.parse(text), path), out: folder }
}

export const writeRecipe = async (recipe: PretrainRecipe): Promise<void> => {
  await mkdir(recipe.out, { recursive: true })
  await writeFileAtomic(join(recipe.out, RUN_FILE), `${JSON.stringify(recipe, null, 2)}\n`)
}

const versions = async (): Promise<Record<string, string>> => ({
  node: process.version,
  libtorch: buildFacts().torchVersion,
  platform: `${process.platform} ${arch()}`,
})

/** Values of an evaluation, with the perplexity where the loss is one of language. */
const held = async (run: BuiltRun, state: Pick<LoopState, 'microTokens'>, signal?: AbortSignal) => {
  const { trainee, heldOut, recipe } = run
  if (heldOut === undefined || recipe.heldOut === 0) return {}
  const metrics = await evaluateHeldOut(trainee, heldOut, {
    examples: recipe.heldOut,
    microTokens: state.microTokens,
    padded: recipe.batch.padded,
    device: recipe.device,
    signal,
  })
  const { language = metrics.loss } = metrics
  return { ...metrics, perplexity: Math.exp(language) }
}

/** Runs from `start`, or from the newest whole checkpoint of the folder. */
export const execute = async (
  recipe: PretrainRecipe,
  mode: 'fresh' | 'resume',
  listener: RunListener = {},
): Promise<RunResult> => {
  const { out } = recipe
  const unlock = await lockRun(out)
  let run: BuiltRun | undefined
  try {
    if (recipe.memoryBudget !== undefined) setMemoryLimit(recipe.memoryBudget)
    run = await buildRun(recipe)
    for (const note of run.notes) listener.onNote?.(note)
    return await executeBuilt(run, mode, listener)
  } finally {
    if (recipe.memoryBudget !== undefined) setMemoryLimit(undefined)
    run?.close()
    await unlock()
  }
}

const startingPoint = async (run: BuiltRun, mode: 'fresh' | 'resume', note: (line: string) => void) => {
  const { recipe, trainee } = run
  const fresh = freshState(recipe, trainee.model.facts.numLayers)
  if (mode === 'fresh') return fresh
  const { found, damaged } = await newestSnapshot(recipe.out)
  for (const line of damaged) note(line)
  if (found === undefined) {
    if (damaged.length > 0)
      throw new CheckpointError(`Expected a whole checkpoint in ${recipe.out}, but every one is damaged. ${damaged[0]}`)
    note('There is no checkpoint yet: the run begins again.')
    return fresh
  }
  const { optimizerStep: _, averageUpdates: __, ...state } = await readSnapshot(found.path, partsOf(run))
  return state
}

const executeBuilt = async (run: BuiltRun, mode: 'fresh' | 'resume', listener: RunListener): Promise<RunResult> => {
  const { recipe, trainee, stream, optimizer, average } = run
  const { out } = recipe
  const started = { wall: performance.now(), cpu: process.cpuUsage() }
  const energy = startEnergyMeter()
  const flight = preFlight({
    trainee,
    optimizer,
    stream,
    batch: recipe.batch,
    microTokens: recipe.batch.microTokens,
    vocabulary: run.vocabulary,
    vocabSize: trainee.model.facts.vocabSize,
    decode: (ids) => run.tokenizer.decode([...ids], { skipSpecialTokens: false }),
  })
  const state = await startingPoint(run, mode, (line) => listener.onNote?.(line))
  listener.onPreFlight?.(flight, { fresh: state.step === 0, step: state.step })
  const tracker = await trackRun(out, mode === 'resume' ? { resumeAt: state.step } : {})
  let last: { loss: number; metrics: Record<string, number>; step: number; tokens: number } = {
    loss: Number.NaN,
    metrics: {},
    step: state.step,
    tokens: state.tokens,
  }
  const note = (message: string) =>
    tracker.append({ type: 'note', time: new Date().toISOString(), step: last.step, message } as RunEvent)
  let reason: 'finished' | 'interrupted' = 'interrupted'
  let current: Pick<LoopState, 'microTokens'> = state
  try {
    for (const warning of flight.warnings) note(warning)
    const events = train({
      trainee,
      stream,
      optimizer,
      average,
      settings: recipe,
      learningRate: run.learningRate,
      length: run.length,
      state,
      device: recipe.device,
      signal: listener.signal,
      evaluate:
        run.heldOut === undefined || recipe.heldOut === 0 ? undefined : () => held(run, current, listener.signal),
      sample: () => takeSamples(run),
      save: async (loop) => {
        current = loop
        const path = await writeSnapshot(out, partsOf(run), loop, { tokenizer: recipe.tokenizer })
        const { best } = loop
        await pruneSnapshots(out, { last: recipe.keep.last, every: recipe.keep.every, best: best?.step })
        return relative(out, path)
      },
      rollBack: async () => {
        const { found } = await newestSnapshot(out)
        if (found === undefined) return undefined
        const { optimizerStep: _, averageUpdates: __, ...loop } = await readSnapshot(found.path, partsOf(run))
        return loop
      },
      recordIncident: async (step, report) => {
        const path = join('incidents', `step-${String(step).padStart(8, '0')}.json`)
        await mkdir(join(out, 'incidents'), { recursive: true })
        await writeFileAtomic(join(out, path), `${JSON.stringify(report, null, 2)}\n`)
        return path
      },
    })
    for await (const event of events) {
      if (event.type === 'step') last = { ...last, loss: event.loss, step: event.step, tokens: event.tokens }
      if (event.type === 'evaluation') last = { ...last, metrics: event.metrics }
      if (event.type === 'end') reason = event.reason
      tracker.append(event as RunEvent)
      listener.onEvent?.(event)
    }
  } catch (error) {
    tracker.append({
      type: 'end',
      reason: 'failed',
      time: new Date().toISOString(),
      step: last.step,
      message: (error as Error).message,
    } as RunEvent)
    throw error
  } finally {
    tracker.close()
  }
  const model = reason === 'finished' ? await exportModel(run) : undefined
  const cpu = process.cpuUsage(started.cpu)
  const seconds = (performance.now() - started.wall) / 1000
  const card = makeRunCard({
    name: out,
    seed: recipe.seed,
    versions: await versions(),
    dataHashes: run.hashes,
    config: recipe,
    steps: last.step,
    tokens: last.tokens,
    wallSeconds: seconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    parameters: flight.parameters,
    // Forward and backward: six operations for every parameter and token.
    flops: 6 * flight.parameters * last.tokens,
    energyJoules: energy.joules(),
    pricePerHour: recipe.pricePerHour,
    results: { ...last.metrics },
  })
  energy.stop()
  await writeRunCard(out, card)
  await writeReports(out)
  return { out, model, reason, steps: last.step, tokens: last.tokens, seconds, loss: last.loss, metrics: last.metrics }
}

/** The run's MODEL: the best checkpoint where one was asked for, else the last; with averaged weights where they are kept. */
const exportModel = async ({ recipe, trainee, average }: BuiltRun): Promise<string> => {
  const target = join(recipe.out, MODEL_FOLDER)
  const [newest] = await listSnapshots(recipe.out)
  const best = recipe.keep.best === undefined ? undefined : await bestSnapshot(recipe.out)
  if (best !== undefined && average === undefined)
    await writeFolderAtomic(target, async (folder) => cp(join(best, 'model'), folder, { recursive: true }))
  else if (average === undefined && newest !== undefined)
    await writeFolderAtomic(target, async (folder) => cp(join(newest.path, 'model'), folder, { recursive: true }))
  else {
    average?.swapIn()
    try {
      await saveModel(trainee.model, target, { tokenizer: recipe.tokenizer })
    } finally {
      average?.swapOut()
    }
  }
  return target
}

const bestSnapshot = async (out: string): Promise<string | undefined> => {
  const [newest] = await listSnapshots(out)
  if (newest === undefined) return undefined
  const { best } = JSON.parse(await readFile(join(newest.path, 'state.json'), 'utf8')) as {
    best: { step: number } | null
  }
  return (await listSnapshots(out)).find(({ step }) => step === best?.step)?.path
}
