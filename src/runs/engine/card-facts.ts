// What is known of a model for its card: its evaluation, and the run that made it. Opens no model.
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { exists, formatCount } from '../../core/index.ts'
import {
  type CardData,
  type CardResult,
  type CardTable,
  licenseOf,
  type ModelCardInput,
  readRunCard,
  renderModelCard,
  runCardRows,
  runFiles,
} from '../../tracking/index.ts'
import { readEvaluation } from './evaluation-files.ts'

/** The fields of a recipe that a card shows. */
interface CardRecipe {
  base?: string
  data?: unknown
  validation?: unknown
  task?: string
  variant?: string
}

const dataNames = (value: unknown, use: string): CardData[] =>
  [value].flat().flatMap((one: unknown) => {
    const path = typeof one === 'string' ? one : (one as { path?: unknown } | null)?.path
    return typeof path === 'string' ? [{ name: basename(path), use }] : []
  })

/** A Hub id, or the name of a folder: no path of this machine goes into a card. */
export const publicName = async (base: string): Promise<string> => ((await exists(base)) ? nameOfFolder(base) : base)

const nameOfFolder = (path: string): string =>
  basename(path) === runFiles.model ? basename(dirname(path)) : basename(path)

const readLicense = async (folder: string): Promise<string | undefined> => {
  for (const path of [join(folder, 'README.md'), join(folder, runFiles.model, 'README.md')]) {
    const found = licenseOf(await readFile(path, 'utf8').catch(() => ''))
    if (found !== undefined) return found
  }
  return undefined
}

/** Facts of a model, as far as its folder has them. */
export type CardFacts = Pick<
  ModelCardInput,
  'base' | 'relation' | 'license' | 'data' | 'results' | 'task' | 'tables' | 'limitations'
>

const referencesTable = (references: readonly { name: string; metrics: object }[], metric: string): CardTable[] => {
  const rows = references.flatMap(({ name, metrics }) => {
    const value = (metrics as Record<string, { value: number } | undefined>)[metric]?.value
    return value === undefined ? [] : [[name, String(Number(value.toPrecision(4)))]]
  })
  return rows.length === 0
    ? []
    : [
        {
          title: 'References',
          text: 'Scores without training, on the same records.',
          header: ['reference', metric],
          rows,
        },
      ]
}

/** Reads what the folder of a model, and the run that it is in, say about it. */
export const readCardFacts = async (folder: string): Promise<CardFacts> => {
  const evaluation = await readEvaluation(folder)
  const run = basename(folder) === runFiles.model ? await readRunCard(dirname(folder)) : undefined
  const recipe = (run?.config ?? {}) as CardRecipe
  const results = Object.entries(evaluation?.metrics ?? {}).flatMap(([metric, { value, low, high }]): CardResult[] =>
    Number.isFinite(value) ? [{ metric, value, ...(Number.isFinite(low) ? { low, high } : {}) }] : [],
  )
  const validation = dataNames(recipe.validation, 'validation')
  const records = evaluation?.records?.count
  const isAdapter = await exists(join(folder, 'adapter_config.json'))
  const license =
    (await readLicense(folder)) ?? (recipe.base === undefined ? undefined : await readLicense(recipe.base))
  return {
    ...(recipe.base === undefined
      ? {}
      : { base: await publicName(recipe.base), relation: isAdapter ? 'adapter' : 'finetune' }),
    ...(license === undefined ? {} : { license }),
    ...(recipe.task === undefined ? {} : { task: recipe.task }),
    data: [
      ...dataNames(recipe.data, 'training'),
      ...(validation.length > 0 || records === undefined
        ? validation
        : [{ name: 'a share of the data', use: 'validation' }]
      ).map((one) => ({ ...one, ...(records === undefined ? {} : { records }) })),
    ],
    results,
    tables: [
      ...referencesTable(evaluation?.references ?? [], evaluation?.mainMetric ?? ''),
      ...(run === undefined
        ? []
        : [
            {
              title: 'Training and its cost',
              header: ['what', 'value'],
              rows: [
                ...(recipe.variant === undefined ? [] : [['Method', recipe.variant]]),
                ...(evaluation?.parameters === undefined
                  ? []
                  : [
                      [
                        'Trained parameters',
                        `${formatCount(evaluation.parameters.trained)} of ${formatCount(evaluation.parameters.total)}`,
                      ],
                    ]),
                ...runCardRows(run),
              ],
            },
          ]),
    ],
    limitations: [...(run?.warnings ?? [])],
  }
}

const summaryOf = ({ task, base }: CardFacts): string => {
  if (task !== undefined) return `${base ?? 'A model'}, fine-tuned for ${task}.`
  return base === undefined ? 'A language model, pretrained from scratch.' : `${base}, trained further.`
}

/** The card of a model that a run has finished. */
export const runModelCard = async (folder: string, name: string): Promise<string> => {
  const facts = await readCardFacts(folder)
  return renderModelCard({
    ...facts,
    name,
    summary: summaryOf(facts),
    library: facts.relation === 'adapter' ? 'peft' : 'transformers',
    limitations: [
      ...(facts.limitations ?? []),
      'Measured on the records above only: other texts, languages and domains were not tested.',
    ],
  })
}
