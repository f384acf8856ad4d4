// The callbacks and the stopping rule of a recipe, beside the training loop.
import type { TrainingEvent } from '../../tracking/index.ts'
import { functionOf, namesFunctions } from './recipe-functions.ts'
import type { CommonRecipe } from './run-kind.ts'
import {
  callAndWait,
  type RecipeCallback,
  type StopContext,
  type StopRule,
  StrayErrors,
  type UserCall,
} from './user-code.ts'

/** Functions of a recipe that follow a run. */
export class RunCallbacks {
  readonly #recipe: CommonRecipe
  readonly #callbacks: { call: UserCall; run: RecipeCallback }[]
  readonly #rule: { call: UserCall; stops: StopRule } | undefined
  readonly #strays: StrayErrors
  readonly #evaluations: { step: number; metrics: Record<string, number> }[] = []
  /** Whether the stopping rule has ended the run. */
  stopped = false

  /** @param isFirst false for the other processes of a group, which only agree on the end */
  constructor(recipe: CommonRecipe, isFirst: boolean) {
    const { out, callbacks, stopWhen } = recipe
    this.#recipe = recipe
    this.#strays = new StrayErrors(recipe)
    this.#callbacks = (isFirst ? callbacks : []).map((input) => {
      const given = functionOf(input, 'callbacks', out) as RecipeCallback | { onEvent: RecipeCallback }
      const run: RecipeCallback =
        typeof given === 'function' ? given : (event, context) => given.onEvent(event, context)
      return { call: this.#call('callback', input), run }
    })
    if (stopWhen !== undefined) {
      const given = functionOf(stopWhen, 'stopWhen', out) as StopRule | { stopWhen: StopRule }
      const stops: StopRule = typeof given === 'function' ? given : (context) => given.stopWhen(context)
      this.#rule = { call: this.#call('stopping rule', stopWhen), stops }
    }
  }

  #call(noun: string, input: unknown): UserCall {
    const { out, recipeFile, callbackSeconds: seconds } = this.#recipe
    return { noun, name: (input as { name?: string }).name ?? noun, out, recipeFile, seconds }
  }

  /** An evaluation of an earlier session. */
  note(event: TrainingEvent): void {
    if (event.type === 'evaluation') this.#evaluations.push({ step: event.step, metrics: event.metrics })
  }

  /** Calls what listens to an event. @throws ConfigError for a function that throws or takes too long, and for code that threw outside of a call */
  async take(event: TrainingEvent, signal: AbortSignal | undefined): Promise<void> {
    this.check()
    for (const { call, run } of this.#callbacks)
      await callAndWait(call, () => run(event, { folder: this.#recipe.out, signal }))
    if (event.type !== 'evaluation') return
    this.note(event)
    const context: StopContext = { step: event.step, evaluations: this.#evaluations }
    const { call, stops } = this.#rule ?? {}
    if (call !== undefined && stops !== undefined && (await callAndWait(call, () => stops(context))))
      this.stopped = true
  }

  /** Begins to catch what the code of a recipe file throws outside of its calls. */
  open(): void {
    if (this.#recipe.recipeFile !== undefined && namesFunctions(this.#recipe)) this.#strays.open()
  }

  /** @throws ConfigError for code that threw outside of a call since the last event */
  check(): void {
    this.#strays.check()
  }

  close(): void {
    this.#strays.close()
  }
}
