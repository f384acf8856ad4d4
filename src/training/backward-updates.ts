// Updates each parameter within the backward pass, as soon as its gradient is complete, and frees the gradient: the gradients of
// all parameters never exist at once. With two passes the first one measures, so that gradients are clipped by their global norm and
// nothing changes where one is not finite. Independent of update rules and of the loop. @source arXiv:2306.09782 (LOMO)
import { ConfigError, NativeError } from '../core/index.ts'
import type { Optimizer, SingleUpdates, StepResult } from '../optim/index.ts'
import { gradNorm, noGradScope, watchGradients } from '../tensor/index.ts'
import {
  type GradientSink,
  type GradientSource,
  type SharedBatch,
  type TrainableModel,
  trainingWeights,
} from './gradients.ts'
import { badValues } from './incidents.ts'
import type { TrainingSettings } from './settings.ts'
import { shortestTrained } from './shared-batch.ts'

/** What a backward pass does with a gradient that is complete. */
type Mode = 'none' | 'count' | 'measure' | 'update' | 'discard'

type Settings = Pick<
  TrainingSettings,
  'updateInBackward' | 'maxGradientNorm' | 'onNonFinite' | 'onSpike' | 'gradientNorms' | 'batch' | 'shard' | 'precision'
>

/** @throws ConfigError for settings that need the gradients of all parameters at once */
export const expectBackwardUpdates = (
  { updateInBackward: passes, maxGradientNorm, onNonFinite, onSpike, gradientNorms, batch, shard, precision }: Settings,
  { method, mixout, adversary }: Pick<TrainableModel, 'method' | 'mixout' | 'adversary'>,
  { optimizer, processes }: { optimizer: Optimizer; processes: number },
): void => {
  if (passes === 'none') return
  const refuse = (reason: string): never => {
    throw new ConfigError(`\`updateInBackward\` ${passes} ${reason}`)
  }
  if (processes > 1 || shard !== 'none')
    refuse('needs one process, as gradients are summed over all of them: set it to none, or start one process.')
  if (optimizer.begin === undefined) refuse(`does not go with \`optimizer.type\` ${optimizer.type}. Set it to none.`)
  if (adversary !== undefined)
    refuse('does not go with a second pass over moved embeddings, whose gradients are added: remove `fgmEpsilon`.')
  if (mixout !== undefined) refuse('does not go with `mixout`, which changes gradients after the pass: remove it.')
  if (method?.afterUpdate !== undefined)
    refuse('does not go with this `variant`, which reads all gradients after the update. Set it to none.')
  if (gradientNorms !== undefined) refuse('does not keep the gradients that `gradientNorms` reads: remove it.')
  if (batch.tokens !== undefined && batch.tokens > batch.microTokens)
    refuse(
      `needs the examples of a step in one micro-batch, as gradients of several are summed: raise \`batch.microTokens\` to ${batch.tokens}, or lower \`batch.tokens\`.`,
    )
  if (passes !== 'one-pass') return
  if (maxGradientNorm > 0)
    refuse(
      'cannot clip by the norm of all gradients, which is known after the pass: set `maxGradientNorm` to 0, or choose two-pass.',
    )
  if (precision === 'float16')
    refuse(
      'cannot skip a step whose gradients overflow float16 when some were used already: choose two-pass, or set `precision` to bfloat16.',
    )
  if (onNonFinite === 'skip')
    refuse(
      'cannot skip a step whose gradient is found to be not finite when others were used already: set `onNonFinite` to roll-back or stop, or choose two-pass.',
    )
  if (onSpike === 'skip')
    refuse('cannot skip a step after its backward pass: set `onSpike` to note, or choose two-pass.')
}

/** Takes gradients out of backward passes, and updates parameters. */
export class BackwardUpdates<Example = unknown> implements GradientSink {
  readonly passes: 1 | 2
  readonly #trainable: TrainableModel<Example>
  readonly #optimizer: Optimizer
  readonly #paths: readonly string[]
  readonly #stopWatching: () => void
  #source: GradientSource | undefined
  /** Accumulations into each gradient in a backward pass; undefined before a pass has shown them. */
  #expected: readonly number[] | undefined
  #seen: number[] = []
  readonly #complete = new Set<number>()
  #wanted: Mode = 'none'
  #mode: Mode = 'none'
  #updates: SingleUpdates | undefined
  #squares = 0
  #changed = 0
  #nonFinite: { path: string; values: number }[] = []

  constructor(trainable: TrainableModel<Example>, optimizer: Optimizer, passes: 1 | 2) {
    this.passes = passes
    this.#trainable = trainable
    this.#optimizer = optimizer
    this.#paths = [...trainable.parameters.keys()]
    this.#stopWatching = watchGradients([...trainable.parameters.values()], (index) => this.#accumulated(index))
  }

  /** Whether some parameters have been updated in a step that has not ended. */
  get changed(): boolean {
    return this.#changed > 0
  }

  /** Gradients of this step that are not finite. */
  get nonFinite(): readonly { path: string; values: number }[] {
    return this.#nonFinite
  }

  /** How a batch is computed. Before the first one, its shortest example shows how often each gradient is added to. */
  share(examples: readonly Example[]): SharedBatch<Example> {
    return {
      totals: trainingWeights(this.#trainable, examples),
      sink: this,
      rounds: async (own) => {
        if (own > 1)
          throw new ConfigError(
            `\`updateInBackward\` needs the examples of a step in one micro-batch, as gradients of several are summed, got ${own} of them. Raise \`batch.microTokens\`, lower \`batch.sequences\`, or set it to none.`,
          )
        return own
      },
      idle: shortestTrained(this.#trainable, examples),
      showsPasses: this.#expected === undefined,
    }
  }

  /** Begins the first pass of a step. */
  begin(learningRate: number): void {
    this.#squares = 0
    this.#changed = 0
    this.#nonFinite = []
    if (this.passes === 1) this.#beginUpdates(learningRate, 1)
    else this.#wanted = 'measure'
  }

  /** Begins the second pass, which updates. @returns false where a gradient was not finite: there is nothing to update with */
  beginSecond(learningRate: number, maxGradientNorm: number): boolean {
    const norm = this.#norm
    if (!Number.isFinite(norm)) return false
    // As the optimizer clips.
    const scale = maxGradientNorm > 0 ? Math.min(1, maxGradientNorm / (norm + 1e-6)) : 1
    this.#beginUpdates(learningRate, scale)
    return true
  }

  #beginUpdates(learningRate: number, scale: number): void {
    this.#updates = this.#optimizer.begin?.({ learningRate, scale })
    this.#wanted = 'update'
  }

  get #norm(): number {
    return this.#nonFinite.length > 0 ? Number.NaN : Math.sqrt(this.#squares)
  }

  /** Ends the passes of a step. */
  end(): StepResult {
    const applied = this.#nonFinite.length === 0 && this.#wanted === 'update'
    if (applied) this.#updates?.end()
    this.#updates = undefined
    this.#wanted = 'none'
    return { applied, gradientNorm: this.#norm }
  }

  /** Weights and state of the loop belong together again: a step has ended, or a checkpoint was restored. */
  settle(): void {
    this.#changed = 0
  }

  beginPass(source: GradientSource): void {
    this.#source = source
  }

  openMicroBatch(): void {
    this.#mode = this.#expected === undefined ? 'count' : this.#wanted
    this.#seen = this.#paths.map(() => 0)
    this.#complete.clear()
  }

  /** A loss that is not finite must not change anything. */
  noteLoss(loss: number): void {
    if (this.#mode !== 'count' && !Number.isFinite(loss)) this.#mode = this.#wanted = 'discard'
  }

  async closeMicroBatch(): Promise<void> {
    if (this.#mode === 'count') this.#expected = this.#seen
    // Parameters that were used less often than the shortest example shows.
    else for (const index of this.#paths.keys()) if (!this.#complete.has(index)) this.#take(index)
    this.#mode = 'none'
  }

  async endPass(): Promise<void> {
    this.#source = undefined
  }

  /** Ends the watch over the gradients. */
  close(): void {
    this.#stopWatching()
  }

  /** A backward pass has added to the gradient of a parameter. */
  #accumulated(index: number): void {
    if (this.#mode === 'none') return
    const seen = ++this.#seen[index]
    if (this.#mode === 'count' || this.#mode === 'discard') this.#source?.drop([this.#paths[index]])
    else if (this.#complete.has(index))
      throw new NativeError(
        `\`${this.#paths[index]}\` got a further part of its gradient after its update, as it is used in parts that the backward pass computes again. Set \`updateInBackward\` to none, and resume.`,
      )
    else if (seen === this.#expected?.[index]) this.#take(index)
  }

  /** Takes a gradient that is complete, and frees it. */
  #take(index: number): void {
    this.#complete.add(index)
    const path = this.#paths[index]
    const source = this.#source as GradientSource
    noGradScope(() => {
      const gradient = source.take(path)
      if (gradient === undefined) return
      const norm = gradNorm([gradient]).item()
      if (!Number.isFinite(norm)) this.#nonFinite.push({ path, values: badValues(gradient) })
      // The second pass has the gradients of the first.
      else if (this.#mode === 'measure' || this.passes === 1) this.#squares += norm ** 2
      // After one that is not finite, no other weight changes.
      if (this.#mode !== 'update' || this.#nonFinite.length > 0) return
      this.#changed++
      this.#updates?.update(path, gradient)
    })
    source.drop([path])
  }
}
