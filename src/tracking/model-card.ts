// The model card: README.md of a model's folder, with the metadata that the Hub reads at its top. Independent of models and runs:
// callers gather the facts.
import { stringify } from 'yaml'

/** A score with its confidence interval. */
export interface CardResult {
  metric: string
  value: number
  low?: number
  high?: number
}

/** Data of a model. */
export interface CardData {
  name: string
  /** `training` or `validation`. */
  use: string
  /** Number of records, where it is known. */
  records?: number
}

/** A table of the card. */
export interface CardTable {
  title: string
  /** A sentence above the table. */
  text?: string
  header: readonly string[]
  rows: readonly (readonly string[])[]
}

/** What a model card is made from. */
export interface ModelCardInput {
  name: string
  /** What the model is, in a sentence. */
  summary: string
  /** The Hub's name of the library that opens the files. */
  library: string
  /** The Hub's name of what the model does. */
  pipeline?: string
  /** A Hub id, or the name of a folder. */
  base?: string
  /** What the model is to its base: `finetune`, `adapter`, `quantized` or `merge`. */
  relation?: string
  /** The Hub's name of the licence of the weights. */
  license?: string
  data?: readonly CardData[]
  results?: readonly CardResult[]
  /** The task of the results. */
  task?: string
  tables?: readonly CardTable[]
  /** What users must know, in sentences. */
  limitations?: readonly string[]
}

/** Whether a name is an id of the Hub, and no path. */
const isHubId = (name: string): boolean => /^[\w][\w.-]*\/[\w][\w.-]*$/.test(name)

const short = (value: number): string => String(Number(value.toPrecision(4)))

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const renderTable = ({ header, rows }: Pick<CardTable, 'header' | 'rows'>): string =>
  [header, header.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

const metadataOf = (input: ModelCardInput): string => {
  const { base, relation, license, library, pipeline, results = [], task, data = [], name } = input
  const validation = data.find(({ use }) => use === 'validation')?.name ?? 'validation data'
  return stringify({
    ...(license === undefined ? {} : { license }),
    library_name: library,
    ...(pipeline === undefined ? {} : { pipeline_tag: pipeline }),
    ...(base !== undefined && isHubId(base)
      ? { base_model: base, ...(relation === undefined ? {} : { base_model_relation: relation }) }
      : {}),
    tags: ['tunesmith'],
    ...(results.length === 0
      ? {}
      : {
          'model-index': [
            {
              name,
              results: [
                {
                  task: { type: pipeline ?? task ?? 'text-generation' },
                  dataset: { name: validation, type: validation },
                  metrics: results.map(({ metric, value }) => ({ type: metric, name: metric, value })),
                },
              ],
            },
          ],
        }),
  })
}

const resultRows = (results: readonly CardResult[]): string[][] =>
  results.map(({ metric, value, low, high }) => [
    metric,
    short(value),
    low === undefined || high === undefined ? '' : `${short(low)} to ${short(high)}`,
  ])

/** The text of README.md. */
export const renderModelCard = (input: ModelCardInput): string => {
  const { name, summary, base, relation, license, data = [], results = [], tables = [], limitations = [] } = input
  const facts = [
    ...(base === undefined ? [] : [`- Base: ${base}${relation === undefined ? '' : ` (${relation})`}`]),
    `- Licence: ${license ?? 'not recorded: ask the author before you use the model'}`,
  ]
  const sections = [
    `---\n${metadataOf(input)}---`,
    `# ${name}`,
    summary,
    facts.join('\n'),
    ...(data.length === 0
      ? []
      : [
          '## Data',
          renderTable({
            header: ['data', 'use', 'records', 'licence'],
            rows: data.map(({ name, use, records }) => [
              name,
              use,
              records?.toLocaleString('en') ?? '',
              'not recorded',
            ]),
          }),
        ]),
    ...(results.length === 0
      ? []
      : [
          '## Results',
          'On the validation records, with 95 % bootstrap intervals.',
          renderTable({ header: ['metric', 'value', 'interval'], rows: resultRows(results) }),
        ]),
    ...tables.flatMap(({ title, text, ...table }) => [
      `## ${title}`,
      ...(text === undefined ? [] : [text]),
      renderTable(table),
    ]),
    ...(limitations.length === 0 ? [] : ['## Limitations', limitations.map((line) => `- ${line}`).join('\n')]),
    'Written by [Tunesmith](https://www.npmjs.com/package/tunesmith).',
  ]
  return `${sections.join('\n\n')}\n`
}

/** The licence in the metadata of a README.md; undefined without one. */
export const licenseOf = (readme: string): string | undefined => {
  const [, head = ''] = /^---\n([\s\S]*?)\n---/.exec(readme) ?? []
  const found = /^license:[ \t]*["']?([\w.+-]+)/m.exec(head)?.[1]
  return found
}
