// `tunesmith sweep`: one recipe at every point of a grid, resumable. The work is `sweep` of src/runs.
import { z } from 'zod'
import { ConfigError, withoutUndefined } from '../../core/index.ts'
import {
  finetuneSchema,
  parseRange,
  planSweep,
  type RunListener,
  type RunPlans,
  type SearchInput,
  type SearchRange,
  type SweepAxes,
  type SweepInput,
  type SweepResult,
  searchSchema,
  startOf,
  sweep as startSweep,
} from '../../runs/index.ts'
import type { TaskType } from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'
import { coerceTexts, flagsOf, mergeOver, plainValue, withDefaultKinds, withFields, withoutDefaults } from '../flags.ts'
import { dryRunField } from '../parts/dry-run.ts'
import { textField } from '../parts/fields.ts'
import { renderPlan } from '../parts/plan-display.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun } from '../parts/run-display.ts'
import { watchedSweep, watchFields } from '../parts/run-tracking.ts'
import { renderSweep } from '../parts/sweep-tables.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'
import { readRecipeFile } from '../recipe-file.ts'

const { command: _, out: __, ...recipeFields } = withoutDefaults(finetuneSchema, "the recipe's")
const searchFields = withoutDefaults(z.strictObject({ search: searchSchema }), "the recipe's")

/** Parses ranges, and comma-separated values as the type that the recipe has at that key. */
const axesOf = (over: Record<string, unknown>, schema: z.ZodObject): SweepAxes => {
  const flags = flagsOf(schema)
  const valuesOf = (path: string, given: unknown): SweepAxes[string] => {
    if (typeof given !== 'string') return isRecord(given) || Array.isArray(given) ? given : [given]
    const range = parseRange(given)
    if (range !== undefined) return range
    const flag = flags.find((one) => one.path.join('.') === path)
    const parts = given.split(',').map((part) => part.trim())
    if (flag !== undefined) return parts.map((part) => coerceTexts([part], flag))
    // Below an untyped map, such as the settings of an adapter, the type is guessed from the text.
    return parts.map(plainValue)
  }
  return Object.fromEntries(Object.entries(over).map(([path, given]) => [path, valuesOf(path, given)]))
}

const isRecord = (value: unknown): value is SearchRange =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const sweep = defineCommand({
  name: 'sweep',
  summary:
    'Run one recipe at many settings: a grid, or a random, Bayesian (TPE) or successive-halving search; resumable',
  example:
    'tunesmith sweep --base runs/bert --task sequence-classification --data reviews.jsonl --text-column review --label-column stars --over.learning-rate 1e-4,5e-4 --over.seed 0,1,2 --over.variant full,lora --out sweeps/stars',
  notes: [
    'A search takes ranges too: --search.method tpe --over.learning-rate 1e-5..1e-3:log --over.adapter.rank 2..64:log:int --over.variant lora,ia3',
    '`--search.method asha` trains all trials for some steps and continues the best ones; it needs --budget.steps.',
    'Cross-validation: --folds 5, with --repeats 3 on three random divisions; settings are compared by the corrected resampled t-test.',
    "Three seeds or more of each setting (--over.seed 0,1,2) tell by Welch's t-test whether the best one stands out; a setting with a failed run is ranked after the others.",
    'Learning curve: --over.share 0.1,0.3,1 trains on nested parts of the data.',
    'Any key of the recipe can vary: --over.batch.sequences 16,32 --over.adapter.rank 4,8; in a recipe file `over` is a map of lists.',
    'Run the same command again to continue: finished runs are skipped, a stopped one is resumed, and values may be added.',
    'Pretraining recipes can vary too: --recipe pretrain.ts, with `command: "pretrain"` inside.',
  ],
  choices: () => recipeChoices('finetune'),
  options: withFields(
    z.strictObject({
      out: textField('folder of the sweep, with one folder per run'),
      over: z
        .record(z.string(), z.unknown())
        .default({})
        .describe(
          'values of a recipe key, comma-separated: --over.KEY A,B; for a search also a range: LOW..HIGH, with :log, :int or both',
        ),
      folds: z
        .int()
        .min(2)
        .optional()
        .describe('cross-validation: run each setting this many times, each validated on another part of the data'),
      repeats: z
        .int()
        .min(2)
        .optional()
        .describe('random splits of the data, or divisions into folds, that each setting is run with'),
      recipe: textField('recipe of a run, from a .ts, .yaml or .json file; flags override it'),
      ...taskColumns,
      ...watchFields,
      ...dryRunField,
    }),
    { ...searchFields, ...recipeFields },
  ),
  async run(all, _args, context): Promise<SweepResult | RunPlans> {
    const { ui, uiPort, track, trackProject, trackUrl, ...options } = all
    const { out, over, recipe: file, dryRun, textColumn, pairColumn, labelColumn, ...more } = options
    const { search, folds, repeats, ...flags } = more
    const given = withoutUndefined(flags)
    const {
      over: ownOver = {},
      search: ownSearch,
      folds: ownFolds,
      repeats: ownRepeats,
      ...own
    } = file === undefined ? ({} as Record<string, unknown>) : await readRecipeFile(file)
    const laid = mergeOver({ command: 'finetune', ...own }, given) as Record<string, unknown>
    const { schema } = startOf(laid.command)
    const varied = mergeOver(ownOver, over) as Record<string, unknown>
    // A setting of a part that only varies is one of its default kind: --over.optimizer.beta2 of adamw.
    for (const [part, key] of Object.keys(varied).map((path) => path.split('.')))
      if (key !== undefined) laid[part] ??= {}
    const merged = withDefaultKinds(schema, laid) as Record<string, unknown>
    const columns = { textColumn, pairColumn, labelColumn }
    const settings = Object.values(columns).some((value) => value !== undefined)
      ? withColumns({ task: expectTask(merged.task), settings: merged.settings as object, ...columns })
      : {}
    const folder = out ?? merged.out
    if (typeof folder !== 'string') throw new ConfigError('`sweep` needs a folder for its runs: set `--out`.')
    const axes = axesOf(varied, schema)
    const input: SweepInput = {
      recipe: { ...merged, ...settings },
      over: axes,
      out: folder,
      search: mergeOver(ownSearch ?? {}, search ?? {}) as SearchInput,
      folds: folds ?? (ownFolds as number | undefined),
      repeats: repeats ?? (ownRepeats as number | undefined),
    }
    if (dryRun) return planSweep(input)
    return watchedSweep(context, { ui, uiPort, track, trackProject, trackUrl }, folder, (tracking) =>
      startSweep(input, {
        signal: context.signal,
        onSkip: ({ name }) => context.log(`${name}: already finished, skipped`),
        onRun({ name, number, of, folder: run }) {
          context.log(`${number} of ${of}: ${name}`)
          const display = displayRun(context, { label: `${number}/${of}` })
          return { ...display, ...onceBegun(display, () => tracking.start(run)) }
        },
      }),
    )
  },
  render: (result, context) => ('rows' in result ? renderPlan(result, context) : renderSweep(result)),
  exitCode: (result) => ('runs' in result && result.runs.some(({ status }) => status === 'failed') ? 1 : 0),
})

/** Calls `begun` with the first that a run says, when it has its folder and the lock. */
const onceBegun = (
  { onPreFlight, onEvent }: RunListener,
  begun: () => void,
): Pick<RunListener, 'onPreFlight' | 'onEvent'> => {
  let hasBegun = false
  const first = (): void => {
    if (!hasBegun) begun()
    hasBegun = true
  }
  return {
    onPreFlight(...facts) {
      first()
      return onPreFlight?.(...facts)
    },
    onEvent(event) {
      first()
      onEvent?.(event)
    },
  }
}

const expectTask = (task: unknown): TaskType => {
  const field = finetuneSchema.shape.task
  const checked = field.safeParse(task)
  if (checked.success) return checked.data
  throw new ConfigError(`Expected one of ${field.options.join(', ')} for \`--task\`, got ${JSON.stringify(task)}.`)
}
