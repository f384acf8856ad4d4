// `tunesmith sweep`: one recipe at every point of a grid, resumable. The work is `sweep` of src/runs.
import { mkdir } from 'node:fs/promises'
import { z } from 'zod'
import { ConfigError, formatDuration, programCall, shellWord } from '../../core/index.ts'
import {
  finetuneSchema,
  planSweep,
  type RunPlans,
  type SweepAxes,
  type SweepResult,
  startOf,
  sweep as startSweep,
} from '../../runs/index.ts'
import type { TaskType } from '../../tasks/index.ts'
import { defineCommand } from '../command.ts'
import { coerceTexts, flagsOf, mergeOver, plainValue, withDefaultKinds, withFields, withoutDefaults } from '../flags.ts'
import { dryRunField } from '../parts/dry-run.ts'
import { renderPlan } from '../parts/plan-display.ts'
import { recipeChoices } from '../parts/recipe-choices.ts'
import { displayRun } from '../parts/run-display.ts'
import { studioFields, withStudio } from '../parts/run-studio.ts'
import { renderTable } from '../parts/table.ts'
import { taskColumns, withColumns } from '../parts/task-columns.ts'
import { readRecipeFile } from '../recipe-file.ts'

const { command: _, out: __, ...recipeFields } = withoutDefaults(finetuneSchema, "the recipe's")

/** Parses comma-separated values as the type that the recipe has at that key. */
const axesOf = (over: Record<string, unknown>, schema: z.ZodObject): SweepAxes => {
  const flags = flagsOf(schema)
  const valuesOf = (path: string, given: unknown): unknown[] => {
    if (Array.isArray(given)) return given
    if (typeof given !== 'string') return [given]
    const flag = flags.find((one) => one.path.join('.') === path)
    const parts = given.split(',').map((part) => part.trim())
    if (flag !== undefined) return parts.map((part) => coerceTexts([part], flag))
    // Below an untyped map, such as the settings of an adapter, the type is guessed from the text.
    return parts.map(plainValue)
  }
  return Object.fromEntries(Object.entries(over).map(([path, given]) => [path, valuesOf(path, given)]))
}

const shown = (value: number) => (Number.isNaN(value) ? '–' : value.toFixed(4))

export const sweep = defineCommand({
  name: 'sweep',
  summary: 'Run one recipe at every point of a grid of learning rates, seeds, variants …; resumable',
  example:
    'tunesmith sweep --base runs/bert --task sequence-classification --data reviews.jsonl --text-column review --label-column stars --over.learning-rate 1e-4,5e-4 --over.seed 0,1,2 --over.variant full,lora --out sweeps/stars',
  notes: [
    'Any key of the recipe can vary: --over.batch.sequences 16,32 --over.adapter.rank 4,8; in a recipe file `over` is a map of lists.',
    'Run the same command again to continue: finished runs are skipped, a stopped one is resumed, and values may be added.',
    'Pretraining recipes can vary too: --recipe pretrain.ts, with `command: "pretrain"` inside.',
  ],
  choices: () => recipeChoices('finetune'),
  options: withFields(
    z.strictObject({
      out: z.string().optional().describe('folder of the sweep, with one folder per run'),
      over: z
        .record(z.string(), z.unknown())
        .default({})
        .describe('values of a recipe key, comma-separated: --over.KEY A,B'),
      recipe: z.string().optional().describe('recipe of a run, from a .ts, .yaml or .json file; flags override it'),
      ...taskColumns,
      ...studioFields,
      ...dryRunField,
    }),
    recipeFields,
  ),
  async run(options, _args, context): Promise<SweepResult | RunPlans> {
    const { out, over, recipe: file, dryRun, textColumn, pairColumn, labelColumn, ui, uiPort, ...flags } = options
    const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
    const { over: ownOver = {}, ...own } = file === undefined ? {} : await readRecipeFile(file)
    const laid = mergeOver({ command: 'finetune', ...own }, given) as Record<string, unknown>
    const { schema } = startOf(laid.command)
    const merged = withDefaultKinds(schema, laid) as Record<string, unknown>
    const columns = { textColumn, pairColumn, labelColumn }
    const settings = Object.values(columns).some((value) => value !== undefined)
      ? { settings: withColumns(expectTask(merged.task), columns, merged.settings as object) }
      : {}
    const folder = out ?? merged.out
    if (typeof folder !== 'string') throw new ConfigError('`sweep` needs a folder for its runs: set `--out`.')
    const axes = axesOf(mergeOver(ownOver, over) as Record<string, unknown>, schema)
    const input = { recipe: { ...merged, ...settings }, over: axes, out: folder }
    if (dryRun) return planSweep(input)
    return withStudio(context, { ui, uiPort }, async (watched) => {
      if (ui) await mkdir(folder, { recursive: true })
      await watched.onFolder?.(folder)
      return startSweep(input, {
        signal: context.signal,
        onSkip: ({ name }) => context.log(`${name}: already finished, skipped`),
        onRun({ name, number, of }) {
          context.log(`${number} of ${of}: ${name}`)
          return displayRun(context, { label: `${number}/${of}` })
        },
      })
    })
  },
  render(result, context) {
    if ('rows' in result) return renderPlan(result, context)
    const { out, reason, metric, settings, runs, clear } = result
    const axes = Object.keys(runs[0].over).filter((axis) => axis !== 'seed')
    const several = settings.some(({ runs: own }) => own.length > 1)
    const head = [...axes, metric ?? 'score', ...(several ? ['spread', 'lowest', 'highest'] : []), 'runs', 'time']
    const rows = settings.map(({ over, mean, spread, low, high, runs: own, seconds }) => [
      ...axes.map((axis) => String(over[axis])),
      shown(mean),
      ...(several ? [own.length > 1 ? `± ${shown(spread)}` : '', shown(low), shown(high)] : []),
      String(own.length),
      formatDuration(seconds * 1000),
    ])
    const failed = runs.filter(({ status }) => status === 'failed')
    const left = runs.filter(({ status }) => status === 'waiting' || status === 'interrupted')
    return [
      ...(settings.length > 0 ? [renderTable(head, rows)] : []),
      ...failed.map(({ name, message }) => `${name} failed: ${message}`),
      ...(settings.length > 0 && axes.length > 0
        ? [
            `Best: ${axes.map((axis) => `${axis} ${String(settings[0].over[axis])}`).join(', ')}`,
            ...(clear === false
              ? [
                  `No clear difference from the next: ${several ? 'the scores of their seeds' : 'their confidence intervals'} overlap. More seeds or validation records may tell.`,
                ]
              : []),
          ]
        : []),
      reason === 'interrupted'
        ? `Stopped with ${left.length} of ${runs.length} runs left. Run the same command again to continue.`
        : '',
      `Details: ${out}/summary.json, and ${programCall('compare')} ${shellWord(out)}/*/`,
    ]
      .filter((line) => line !== '')
      .join('\n')
  },
  exitCode: (result) => ('runs' in result && result.runs.some(({ status }) => status === 'failed') ? 1 : 0),
})

const expectTask = (task: unknown): TaskType => {
  const field = finetuneSchema.shape.task
  const checked = field.safeParse(task)
  if (checked.success) return checked.data
  throw new ConfigError(`Expected one of ${field.options.join(', ')} for \`--task\`, got ${JSON.stringify(task)}.`)
}
