// `tunesmith export`: a model in the formats of other programs. The work is `exportModel` of src/export.
import { z } from 'zod'
import { formatBytes } from '../../core/index.ts'
import { exportModel, exportSchema, exportTargets, type ProofRow } from '../../export/index.ts'
import { defineCommand } from '../command.ts'
import { textField, textsField } from '../parts/fields.ts'
import { loadHooks, taskField, useField } from '../parts/model-flags.ts'
import { readTexts } from '../parts/read-texts.ts'

const { shape } = exportSchema
const column = 2 + Math.max(...exportTargets.map(({ type }) => type.length))

/** Each format, and what may follow its colon below it. */
const listed = exportTargets.flatMap(({ type, description, variants, defaultVariant }) => [
  `  ${type.padEnd(column)}${description}`,
  ...(variants.length === 0
    ? []
    : [
        `${' '.repeat(column + 2)}${variants.map((one) => (one === defaultVariant ? `${one} (default)` : one)).join(', ')}`,
      ]),
])

/** Columns of a terminal that every line fits, but for paths and sentences. */
const lineWidth = 80

const madeBy = ({ target, consumer }: ProofRow): string =>
  consumer === 'tunesmith' ? target : `${target}, by ${consumer}`

/** Comparisons below the format and the program that they are of, with their values in one column. */
export const renderProof = (proof: readonly ProofRow[]): string[] => {
  const rows = proof.map((row) => {
    const { check, value, limit } = row
    return { owner: madeBy(row), check, result: `${value}${limit === undefined ? '' : ` (limit ${limit})`}` }
  })
  const fits = rows.filter(({ check, result }) => `  ${check}  ${result}`.length <= lineWidth)
  const widest = Math.max(0, ...fits.map(({ result }) => result.length))
  // A long check must not push the values of all others out of the line.
  const most = Math.max(
    0,
    ...fits.map(({ check }) => check.length).filter((length) => length + widest <= lineWidth - 4),
  )
  return rows.flatMap(({ owner, check, result }, i) => [
    ...(owner === rows[i - 1]?.owner ? [] : [owner]),
    ...(check.length <= most
      ? [`  ${check.padEnd(most)}  ${result}`]
      : [`  ${check}`, `${' '.repeat(most + 4)}${result}`]),
  ])
}

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Write a model in the formats of other programs, and prove that it computes the same',
  example: 'tunesmith export runs/support-bot --to merged gguf:q8_0 --out exported',
  notes: ['Formats, and variants that may follow a colon, as in gguf:q4_k_m:', ...listed],
  arguments: [
    { name: 'model', description: 'model: a folder, a run, an adapter, a .gguf file or a Hub id' },
    { name: 'formats', description: 'further formats after --to', variadic: true, optional: true },
  ],
  processes: 'first',
  options: z.strictObject({
    use: useField,
    to: z.array(z.string()).min(1).describe('formats to write, such as merged and gguf:q8_0'),
    out: shape.out,
    task: taskField,
    revision: shape.revision,
    adapter: textsField('adapters to merge into the model: folders or NAME=FOLDER'),
    weight: shape.weights,
    texts: textField('file of validation texts to compare on, one per line or a column `text`'),
    imatrix: textField('file of calibration text for an importance matrix: quantised GGUF types weigh errors by it'),
    opset: shape.opset,
    groupedQueryAttention: shape.groupedQueryAttention,
    data: shape.data,
    license: shape.license,
    replace: shape.replace,
    prove: shape.prove,
  }),
  async run(
    { use: _, to, texts, imatrix, adapter: adapters, weight: weights, ...options },
    { model, formats = [] },
    context,
  ) {
    const given = texts === undefined ? undefined : await readTexts(texts, 'text', context.warn)
    const calibration = imatrix === undefined ? undefined : await readTexts(imatrix, 'text', context.warn)
    return exportModel(
      {
        model,
        ...options,
        to: [...to, ...formats].flatMap((name) => name.split(',')),
        adapters,
        weights,
        texts: given,
        imatrix: calibration,
      },
      { ...loadHooks(context), signal: context.signal, onProgress: context.log },
    )
  },
  render: ({ out, files, proof, notes }) =>
    [...renderProof(proof), ...notes, ...files.map(({ name, bytes }) => `${out}/${name} (${formatBytes(bytes)})`)].join(
      '\n',
    ),
})
