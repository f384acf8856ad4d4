// `tunesmith quickstart`: the whole pipeline on bundled real text, stage by stage, by the same commands that users run.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { ConfigError, parseJson, programCall, SetupError, shellWord, writeFileAtomic } from '../../core/index.ts'
import { runFiles } from '../../runs/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { countField, switchField } from '../parts/fields.ts'
import { askToOpen, openBrowser } from '../parts/open-browser.ts'
import { type BaseResult, trainBase } from '../quickstart/base-model.ts'
import { renderQuickstartPage } from '../quickstart/page.ts'
import { baseRecipe, limited, plans, type QuickstartPlan, specialistPlans } from '../quickstart/plan.ts'
import { type QuickstartResult, renderQuickstart } from '../quickstart/report.ts'
import { makeSpecialists, type SpecialistResult } from '../quickstart/specialists.ts'
import { type StoryPart, StoryProgress } from '../quickstart/story-progress.ts'
import { buildText, type TextResult } from '../quickstart/text-stages.ts'

const bundledData = (): string => {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const data = join(folder, 'quickstart', 'data')
    if (existsSync(data)) return data
  }
  throw new SetupError('Expected the bundled text in quickstart/data, found none. Install the package again.')
}

/** What a folder was started with; results of other options must not mix with its own. */
interface Started {
  plan: QuickstartPlan['name']
  /** The model of `--pretrained`; null for the quickstart's own base. */
  pretrained: string | null
  /** Of `--max-steps`; null where the plan decides. */
  maxSteps: number | null
}

const startedFile = 'quickstart.json'

/** @throws ConfigError where the folder was started with other options */
const claimFolder = async (out: string, started: Started): Promise<void> => {
  const path = join(out, startedFile)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) {
    await writeFileAtomic(path, `${JSON.stringify(started, null, 2)}\n`)
    return
  }
  const found = parseJson(text, { path }) as Started
  if (JSON.stringify(found) === JSON.stringify(started)) return
  const flags = [
    ...(found.plan === 'fast' ? ['--fast'] : []),
    ...(found.pretrained === null ? [] : [`--pretrained ${found.pretrained}`]),
    ...(found.maxSteps === null ? [] : [`--max-steps ${found.maxSteps}`]),
  ]
  const described = flags.length === 0 ? 'without flags' : `with ${flags.join(' ')}`
  throw new ConfigError(
    `Expected a new folder for \`out\`, found a quickstart ${described} in ${out}. Name another folder with --out, or use the same flags.`,
  )
}

/** Small enough for a processor, and published as safetensors. */
const defaultPretrained = 'sentence-transformers/all-MiniLM-L6-v2'

const partsOf = ({ seconds }: QuickstartPlan, isOwnBase: boolean, tasks: readonly { name: string }[]): StoryPart[] => [
  ...(isOwnBase
    ? [
        { title: 'Raw text to corpus: extract, filter, deduplicate', seconds: seconds.text - 2 },
        { title: 'Corpus to tokenizer: learn a WordPiece vocabulary', seconds: 1 },
        { title: 'Corpus to shards: token ids for training', seconds: 1 },
        { title: 'Shards to base: pretrain a small GPT', seconds: seconds.base },
      ]
    : []),
  ...tasks.map(({ name }) => ({
    title: `Base to specialist "${name}": full and LoRA`,
    seconds: 4 * seconds.run,
  })),
  { title: 'Comparison and page', seconds: seconds.compare },
]

/** Next commands, as typed from the current directory. */
const nextCommands = (
  out: string,
  base: string,
  isOwnBase: boolean,
  [{ best }]: readonly SpecialistResult[],
): string[] => {
  const within = (...path: string[]) => join(out, ...path)
  const textClassifier = '--task sequence-classification --data YOURS.csv --text-column COLUMN --label-column COLUMN'
  return [
    `${programCall('predict --model', best)} --text "Who built the first steam engine?"`,
    `${programCall('compare', within('specialists', 'routing'))}/*`,
    ...(isOwnBase
      ? [
          `${programCall('generate --model', within('base'))} --prompt "The sea"`,
          programCall(
            'pretrain --model.type bert --model.preset mini --objective.type masked-lm --budget.minutes 10 --data',
            within('shards'),
            '--tokenizer',
            within('tokenizer'),
            '--out',
            within('bert'),
          ),
        ]
      : []),
    `${programCall('finetune --base', base)} ${textClassifier} --variant lora --out ${shellWord(within('mine'))}`,
  ]
}

export const quickstart = defineCommand({
  name: 'quickstart',
  summary:
    'Turn bundled books, Wikipedia and web pages into a corpus, a tokenizer, shards, a small pretrained GPT and specialists, and compare them',
  example: 'tunesmith quickstart --out quickstart-run',
  notes: [
    'Steps, not time, bound the training: a slow or busy machine gives the same scores as a fast one.',
    'A folder that was started with the same flags is resumed.',
  ],
  options: z.strictObject({
    out: z
      .string()
      .default('runs/quickstart')
      .describe('folder for everything that is made; an unfinished one is resumed'),
    fast: switchField('fewer steps: under two minutes on two quiet cores, with a weaker base'),
    pretrained: z
      .union([z.boolean(), z.string()])
      .default(false)
      .describe(
        `model to start the specialists from, in place of pretraining one: a folder or a Hub id (${defaultPretrained} where none is named)`,
      ),
    maxSteps: countField('most steps of each run, to try the pipeline; a few steps teach nothing'),
    open: switchField('open the page in the browser at the end, without asking'),
  }),
  run: async ({ out, fast, pretrained, maxSteps, open }, _args, context: CommandContext): Promise<QuickstartResult> => {
    const started = performance.now()
    const data = bundledData()
    const plan = limited(plans[fast ? 'fast' : 'full'], maxSteps)
    const chosen = pretrained === true ? defaultPretrained : pretrained === false ? undefined : pretrained
    await claimFolder(out, { plan: plan.name, pretrained: chosen ?? null, maxSteps: maxSteps ?? null })
    const tasks = specialistPlans(plan, chosen !== undefined)
    const progress = new StoryProgress(partsOf(plan, chosen === undefined, tasks), context.log)
    progress.announce()
    let made: { text: TextResult; pretrained: BaseResult } | undefined
    if (chosen === undefined) {
      const folders = { corpus: join(out, 'corpus'), tokenizer: join(out, 'tokenizer'), shards: join(out, 'shards') }
      const text = await buildText(data, folders, progress, context)
      context.signal.throwIfAborted()
      progress.next()
      const base = await trainBase(baseRecipe(plan, { ...folders, out: join(out, 'base') }), context)
      progress.finish({ skipped: base.skipped })
      made = { text, pretrained: base }
    }
    const base = chosen ?? join(out, 'base', runFiles.model)
    const specialists = await makeSpecialists(
      {
        base,
        pretrained: chosen !== undefined,
        data,
        out: join(out, 'specialists'),
        plans: tasks,
        runSeconds: plan.seconds.run,
        progress,
      },
      context,
    )
    progress.next()
    const page = join(out, 'quickstart.html')
    const result: QuickstartResult = {
      out,
      plan: plan.name,
      base,
      ...made,
      specialists,
      page,
      seconds: (performance.now() - started) / 1000,
      next: nextCommands(out, base, made !== undefined, specialists),
    }
    await writeFileAtomic(page, await renderQuickstartPage(result))
    if (open || (!context.json && (await askToOpen(page, context.signal)))) {
      if (!(await openBrowser(page))) context.warn(`Found no program that opens ${page}. Open it in a browser.`)
    }
    return result
  },
  render: renderQuickstart,
})
