// Plans the steps of a run: the loop itself, without arithmetic and without the memory of tensors.
import { noteTensors, type Plan, plan } from '../tensor/index.ts'
import { type TrainingRun, train } from './train.ts'

/** The steps of a plan: the first allocates what the later ones reuse. */
const plannedSteps = 2

/** Names what of a plan holds weights and optimizer state. */
const noteModel = ({ trainable, optimizer, average }: TrainingRun<never>): void => {
  const { model, auxiliary, parameters } = trainable
  const trained = new Set(parameters.values())
  const all = [...model.parameters().values(), ...(auxiliary?.parameters().values() ?? [])]
  noteTensors(
    'frozen weights',
    all.filter((parameter) => !trained.has(parameter)),
  )
  const state = optimizer.state()
  noteTensors('optimizer state', state.tensors.values())
  if (average !== undefined) noteTensors('average of weights', average.state().tensors.values())
  noteTensors('weights', trained)
}

/** What a planned run took in its steps. */
export interface PlannedSteps {
  steps: number
  tokens: number
  examples: number
}

/**
 * Plans a run: builds it, and takes steps of its loop.
 *
 * @param build makes everything that the run needs; its tensors have shapes only
 */
export const planSteps = (
  build: () => Promise<TrainingRun<never>>,
  { steps = plannedSteps }: { steps?: number } = {},
): Promise<Plan<PlannedSteps>> =>
  plan(async () => {
    const run = await build()
    noteModel(run)
    const length = { timed: false, totalSteps: () => steps, done: ({ step }: { step: number }) => step >= steps }
    const events = train({ ...run, length, evaluate: undefined, sample: undefined, save: undefined })
    let next = await events.next()
    while (next.done !== true) next = await events.next()
    const { step, tokens, position } = next.value
    return { steps: step, tokens, examples: position }
  })
