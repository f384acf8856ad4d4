// `tunesmith sweep`: one recipe at every point of a grid, in a folder that can be gone on with. Knows no task and no variant.
import Table from 'cli-table3'
import { z } from 'zod'
import { ConfigError, formatDuration } from '../../core/index.ts'
import { finetuneSchema, type SweepAxes, type SweepResult, startOf, sweep as startSweep } from '../../runs/index.ts'
import type { TaskType } from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'
import { coerceTexts, flagsOf, mergeOver, plainValue, withDefaultKinds, withFields, withoutDefaults } from '../flags.ts'
import { displayRun } from '../parts/run-display.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'
import { variantNotes } from '../parts/variant-notes.ts'
import { readRecipeFile } from '../recipe-file.ts'

const { command: _, out: __, ...recipeFields } = withoutDefaults(finetuneSchema, "the recipe's own")

/** Values as texts with commas between them become what the recipe has at that key. */
const axesOf = (over: Record<string, unknown>, schema: z.ZodObject): SweepAxes => {
  const flags = flagsOf(schema)
  const valuesOf = (path: string, given: unknown): unknown[] => {
    if (Array.isArray(given)) return given
    if (typeof given !== 'string') return [given]
    const flag = flags.find((one) => one.path.join('.') === path)
    const parts = given.split(',').map((part) => part.trim())
    if (flag !== undefined) return parts.map((part) => coerceTexts([part], flag))
    // Below a map, such as the settings of an adapter, nothing says what is wanted.
    return parts.map(plainValue)
  }
  return Object.fromEntries(Object.entries(over).map(([path, given]) => [path, valuesOf(path, given)]))
}

const shown = (value: number) => (Number.isNaN(value) ? '–' : value.toFixed(4))

export const sweep = defineCommand({
  name: 'sweep',
  summary: 'Run one recipe at every point of a grid: learning rates, seeds, variants; goes on where it was stopped',
  example:
    'tunesmith sweep --base runs/bert --task sequence-classification --data reviews.jsonl --text review --label stars --over.learning-rate 1e-4,5e-4 --over.seed 0,1,2 --over.variant full,lora --out sweeps/stars',
  notes: [
    ...variantNotes,
    '',
    'Any key of the recipe can vary: --over.batch.sequences 16,32 --over.adapter.rank 4,8; in a recipe file `over` is a map of lists.',
    'The same command again goes on: finished runs are passed over, one that was stopped is resumed, values may be added.',
    'Recipes of pretraining vary as well: --recipe pretrain.ts, with `command: "pretrain"` inside.',
  ],
  options: withFields(
    z.strictObject({
      out: z.string().optional().describe('folder of the sweep, with a folder for each run'),
      over: z
        .record(z.string(), z.unknown())
        .default({})
        .describe('values of a key of the recipe, with commas between them: --over.KEY A,B'),
      recipe: z
        .string()
        .optional()
        .describe('the recipe of a run, from a .ts, .yaml or .json file; flags given here win'),
      ...taskColumns,
    }),
    recipeFields,
  ),
  async run(options, _args, context): Promise<SweepResult> {
    const { out, over, recipe: file, text, pair, label, ...flags } = options
    const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
    const { over: ownOver = {}, ...own } = file === undefined ? {} : await readRecipeFile(file)
    const laid = mergeOver({ command: 'finetune', ...own }, given) as Record<string, unknown>
    const { schema } = startOf(laid.command)
    const merged = withDefaultKinds(schema, laid) as Record<string, unknown>
    const columns = { text, pair, label }
    const settings = Object.values(columns).some((value) => value !== undefined)
      ? { settings: withColumns(expectTask(merged.task), columns, merged.settings as object) }
      : {}
    const folder = out ?? merged.out
    if (typeof folder !== 'string') throw new ConfigError('Expected a folder for `--out`, got none.')
    const axes = axesOf(mergeOver(ownOver, over) as Record<string, unknown>, schema)
    return startSweep(
      { recipe: { ...merged, ...settings }, over: axes, out: folder },
      {
        signal: context.signal,
        onSkip: ({ name }) => context.log(`${name}: finished before`),
        onRun({ name, number, of }) {
          context.log(`${number} of ${of}: ${name}`)
          return displayRun(context, { label: `${number}/${of}` })
        },
      },
    )
  },
  render({ out, reason, metric, settings, runs }) {
    const axes = Object.keys(runs[0].over).filter((axis) => axis !== 'seed')
    const several = settings.some(({ runs: own }) => own.length > 1)
    const head = [...axes, metric ?? 'score', ...(several ? ['spread', 'lowest', 'highest'] : []), 'runs', 'time']
    const table = new Table({ head, style: { head: [], border: [] } })
    for (const { over, mean, spread, low, high, runs: own, seconds } of settings)
      table.push([
        ...axes.map((axis) => String(over[axis])),
        shown(mean),
        ...(several ? [own.length > 1 ? `± ${shown(spread)}` : '', shown(low), shown(high)] : []),
        String(own.length),
        formatDuration(seconds * 1000),
      ])
    const failed = runs.filter(({ status }) => status === 'failed')
    const left = runs.filter(({ status }) => status === 'waiting' || status === 'interrupted')
    return [
      ...(settings.length > 0 ? [table.toString()] : []),
      ...failed.map(({ name, message }) => `${name} failed: ${message}`),
      ...(settings.length > 0 && axes.length > 0
        ? [`Best: ${axes.map((axis) => `${axis} ${String(settings[0].over[axis])}`).join(', ')}`]
        : []),
      reason === 'interrupted'
        ? `Stopped with ${left.length} of ${runs.length} runs left. The same command goes on.`
        : '',
      `Details: ${out}/summary.json, and tunesmith compare ${out}/*/`,
    ]
      .filter((line) => line !== '')
      .join('\n')
  },
  exitCode: ({ runs }) => (runs.some(({ status }) => status === 'failed') ? 1 : 0),
})

const expectTask = (task: unknown): TaskType => {
  const field = finetuneSchema.shape.task
  const checked = field.safeParse(task)
  if (checked.success) return checked.data
  throw new ConfigError(`Expected one of ${field.options.join(', ')} for \`--task\`, got ${JSON.stringify(task)}.`)
}
