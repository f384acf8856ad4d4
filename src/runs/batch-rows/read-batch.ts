// The rows that a run trained on in a step, as people read them: rebuilt from the recipe and the data, since the order of the data is a pure
// function of (seed, position). Losses are computed with the weights of the newest kept checkpoint before the step.
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { type RolloutRow, readRollout } from '../../alignment/index.ts'
import { DataError } from '../../core/index.ts'
import { mustPad, type ShownTokens } from '../../objectives/index.ts'
import { noGrad, scope } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { readRunCard } from '../../tracking/index.ts'
import { readSnapshot, type TakenBatch, takeBatch, totalWeights } from '../../training/index.ts'
import { partsOf } from '../engine/checkpoints.ts'
import type { BuiltRun } from '../engine/run-kind.ts'
import { kindOf, readRunRecipe } from '../kinds.ts'
import type { BatchPart, BatchRow, BatchRows } from './batch-rows-types.ts'
import { type BatchLocation, locateBatch, recipeVersion } from './locate-batch.ts'

/** Tokens before one that decide how it is written: spaces, and bytes of a character. */
const context = 4

/** The text of each token. A token that ends within a character has the replacement character. */
const tokenTexts = (tokenizer: Tokenizer, ids: readonly number[]): string[] =>
  ids.map((id, i) => {
    const from = Math.max(0, i - context)
    const before = tokenizer.decode(ids.slice(from, i))
    const after = tokenizer.decode(ids.slice(from, i + 1))
    return after.startsWith(before) ? after.slice(before.length) : tokenizer.decode([id])
  })

/** Rows of an answer, and tokens whose text it has. */
const maxRows = 512
const maxTokens = 60_000

interface RowLoss {
  loss: number | null
  /** Its part of the mean loss of the batch. */
  share: number
  labels: Float32Array
}

/** Reads batches of one run at a time, which stays in memory. Call `close` at the end. */
export class BatchReader {
  #folder: string | undefined
  /** Of the folder's recipe when the run was built. */
  #version = ''
  #run: BuiltRun | undefined
  /** Step of the weights that the model has. */
  #weightsOf = 0
  /** Sentences about a run that was rebuilt from data that may have changed. */
  #notes: string[] = []

  /**
   * The rows of the batch of a step.
   * @throws DataError for a step that the run has not taken, ConfigError or DataError for a run that cannot be built again
   */
  async read(folder: string, step: number): Promise<BatchRows> {
    const location = await locateBatch(folder, step)
    if (location.rollout !== undefined) return rolloutRows(folder, step, location, location.rollout)
    const run = await this.#open(folder, location)
    const batch = takeAt(run, location)
    const notes = [...this.#notes]
    let losses: RowLoss[] | undefined
    let withoutLosses: string | null = null
    try {
      await this.#useWeights(run, location)
      losses = await lossesOf(run, batch, step)
    } catch (error) {
      withoutLosses = `The losses could not be computed: ${(error as Error).message}`
    }
    const left = Math.max(0, batch.examples.length - maxRows)
    return {
      step,
      recordedLoss: location.loss,
      loss: losses === undefined || left > 0 ? null : losses.reduce((sum, { share }) => sum + share, 0),
      weightsOfStep: losses === undefined ? null : this.#weightsOf,
      withoutLosses,
      tokens: batch.tokens,
      rows: rowsOf(run, batch, losses),
      left,
      notes,
    }
  }

  close(): void {
    this.#run?.close()
    this.#run = undefined
    this.#folder = undefined
  }

  /**
   * The run, built again if it is another one, also in the same folder, or if its weights were replaced by those of a checkpoint and the
   * first ones are needed.
   */
  async #open(folder: string, { snapshot }: BatchLocation): Promise<BuiltRun> {
    const version = await recipeVersion(folder)
    const usable =
      this.#folder === folder && this.#version === version && (snapshot !== undefined || this.#weightsOf === 0)
    if (this.#run !== undefined && usable) return this.#run
    this.close()
    const recipe = await readRunRecipe(folder)
    const kind = kindOf(recipe.command)
    if (kind.nonIterative?.(recipe) !== undefined) throw new DataError('This method has no steps.', folder)
    this.#run = await kind.build(recipe, { say: () => undefined })
    this.#folder = folder
    this.#version = version
    this.#weightsOf = 0
    this.#notes = await changedData(folder, this.#run)
    return this.#run
  }

  async #useWeights(run: BuiltRun, { snapshot }: BatchLocation): Promise<void> {
    if (snapshot === undefined || snapshot.step === this.#weightsOf) return
    // Until all of it is loaded, the weights are of no step.
    this.#weightsOf = Number.NaN
    const state = await readSnapshot(snapshot.path, partsOf(run))
    run.trainable.objective.carried?.load(state.carried)
    this.#weightsOf = snapshot.step
  }
}

const changedData = async (folder: string, { hashes }: BuiltRun): Promise<string[]> => {
  const known = (await readRunCard(folder).catch(() => undefined))?.dataHashes ?? {}
  const changed = Object.keys(hashes).filter((name) => known[name] !== undefined && known[name] !== hashes[name])
  return changed.map((name) => `${name} has changed since the run: these may not be the rows that it trained on.`)
}

const takeAt = ({ stream, trainable, recipe }: BuiltRun, { position, batches }: BatchLocation): TakenBatch<unknown> => {
  const { objective } = trainable
  const take = (from: number) => takeBatch(stream, (example) => objective.tokens(example), from, recipe.batch)
  const { sequences, tokens } = recipe.batch
  if (sequences !== undefined && tokens === undefined && stream.batchEnd === undefined)
    return take(position + batches * sequences)
  let from = position
  for (let i = 0; i < batches; i++) from = take(from).next
  return take(from)
}

/** Losses of the rows, one at a time, without dropout. */
const lossesOf = async (run: BuiltRun, batch: TakenBatch<unknown>, step: number): Promise<RowLoss[]> => {
  const { trainable, recipe } = run
  const { model, auxiliary, objective } = trainable
  const { device, seed } = recipe
  const padded = recipe.batch.padded || mustPad(objective, model)
  for (const one of [model, auxiliary]) one?.eval()
  const context = { model, microTokens: recipe.batch.microTokens, padded, device, step: step - 1, seed }
  const examples =
    (await objective.prepare?.(batch.examples, { ...context, position: batch.position, evaluation: true })) ??
    batch.examples
  const totals = totalWeights(objective, examples)
  const losses: RowLoss[] = []
  for (const example of examples.slice(0, maxRows)) {
    await setImmediate()
    losses.push(
      noGrad(() =>
        scope(() => {
          let labels = new Float32Array(0)
          const onLabelLosses = (values: { toFloat32Array(): Float32Array }) => {
            labels = Float32Array.from(values.toFloat32Array())
          }
          const collated = objective.collate([example], { padded, device })
          const { terms } = objective.loss(model, collated, { auxiliary, onLabelLosses })
          const counted = terms.filter(({ weight }) => weight > 0)
          const sum = (divisor: (term: (typeof terms)[number]) => number) =>
            counted.reduce((total, term) => total + (term.scale * term.sum.item()) / divisor(term), 0)
          const own = counted.length === 0 ? null : sum(({ weight }) => weight)
          return { loss: own, share: sum(({ name }) => totals[name]), labels }
        }),
      ),
    )
  }
  return losses
}

const rowsOf = (run: BuiltRun, batch: TakenBatch<unknown>, losses: RowLoss[] | undefined): BatchRow[] => {
  const { objective } = run.trainable
  let shown = 0
  return batch.examples.slice(0, maxRows).map((example, i) => {
    const tokens = objective.tokens(example)
    shown += tokens
    const labels = losses?.[i].labels
    return {
      position: batch.position + i,
      place: run.stream.place?.(batch.position + i) ?? null,
      loss: losses?.[i].loss ?? null,
      tokens,
      // The first row is shown, however long it is.
      parts: shown > maxTokens && i > 0 ? null : partsOfExample(run, example, labels),
      values: {},
    }
  })
}

const partsOfExample = ({ trainable, tokenizer }: BuiltRun, example: unknown, labels?: Float32Array): BatchPart[] => {
  const { objective } = trainable
  const shown = objective.show?.(example)
  if (shown !== undefined) return shown.map((part) => partOf(part, (ids) => tokenTexts(tokenizer, ids), labels))
  const text = objective.describe(example, (ids) => tokenizer.decode([...ids], { skipSpecialTokens: false }))
  return [{ ...emptyPart, texts: [text] }]
}

const emptyPart: BatchPart = { name: null, texts: [], trained: [], losses: [], seen: [], classes: [] }

const partOf = (
  { name, ids, seen, classes, losses }: ShownTokens,
  textsOf: (ids: readonly number[]) => string[],
  labels?: Float32Array,
): BatchPart => ({
  name: name ?? null,
  texts: textsOf(ids),
  trained: [...losses.keys()],
  losses: labels === undefined || labels.length === 0 ? [] : Array.from(losses.values(), (label) => labels[label]),
  seen: Array.from(seen ?? [], ([i, id]) => [i, textsOf([id])[0]]),
  classes: [...(classes ?? [])],
})

/** Answers of the rollout that a step trained on, from its file. */
const rolloutRows = async (folder: string, step: number, { loss }: BatchLocation, path: string): Promise<BatchRows> => {
  const rows = await readRollout(join(folder, path))
  return {
    step,
    recordedLoss: loss,
    loss: null,
    weightsOfStep: null,
    withoutLosses: 'These are the answers of the rollout that this step trained on, from its file.',
    tokens: rows.reduce((sum, { completionIds }) => sum + completionIds.length, 0),
    rows: rows.slice(0, maxRows).map(rolloutRow),
    left: Math.max(0, rows.length - maxRows),
    notes: [],
  }
}

const rolloutRow = (row: RolloutRow, position: number): BatchRow => {
  const { id, prompt, completion, promptIds, completionIds, reward, advantage, kl, rewards } = row
  const values = Object.entries({ reward, advantage, kl, ...rewards }).filter(
    (entry): entry is [string, number] => entry[1] !== null,
  )
  return {
    position,
    place: id,
    loss: null,
    tokens: promptIds.length + completionIds.length,
    parts: [
      { ...emptyPart, name: 'prompt', texts: [prompt] },
      { ...emptyPart, name: 'answer', texts: [completion], trained: row.trained ? [0] : [] },
    ],
    values: Object.fromEntries(values),
  }
}
