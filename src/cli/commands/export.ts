// `tunesmith export`: a model in the formats of other programs. The work is `exportModel` of src/export.
import { z } from 'zod'
import { formatBytes } from '../../core/index.ts'
import { exportModel, exportTargets, type ProofRow } from '../../export/index.ts'
import { defineCommand } from '../command.ts'
import { loadHooks, taskField, useField } from '../parts/model-flags.ts'
import { readTexts } from '../parts/read-texts.ts'

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

/** One comparison on one line. */
const rowText = ({ target, consumer, check, value, limit }: ProofRow): string =>
  `${target.padEnd(11)} ${check.padEnd(39)} ${value}${limit === undefined ? '' : ` (limit ${limit})`}${consumer === 'tunesmith' ? '' : `, ${consumer}`}`

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'Write a model in the formats of other programs, and prove that it computes the same',
  example: 'tunesmith export runs/support-bot --to merged gguf:q8_0 --out exported',
  notes: ['Formats, and variants that may follow a colon, as in gguf:q4_k_m:', ...listed],
  arguments: [
    { name: 'model', description: 'model: a folder, a run, an adapter, a .gguf file or a Hub id' },
    { name: 'formats', description: 'further formats after --to', variadic: true, optional: true },
  ],
  options: z.strictObject({
    use: useField,
    to: z.array(z.string()).min(1).describe('formats to write, such as merged and gguf:q8_0'),
    out: z.string().describe('folder for the export; it appears when every format is written and compared'),
    task: taskField,
    revision: z.string().optional().describe('branch, tag or commit of a Hub id'),
    adapter: z.array(z.string()).default([]).describe('adapters to merge into the model: folders or NAME=FOLDER'),
    weight: z.array(z.number()).optional().describe('weight of each adapter in their sum (default: 1 each)'),
    texts: z.string().optional().describe('file of validation texts to compare on, one per line or a column `text`'),
    imatrix: z
      .string()
      .optional()
      .describe('file of calibration text for an importance matrix: quantised GGUF types weigh errors by it'),
    opset: z
      .literal([18, 23])
      .optional()
      .describe("version of ONNX's operators in onnx: 23 has attention as an operator, for Node (default: 18)"),
    groupedQueryAttention: z
      .boolean()
      .default(false)
      .describe(
        "attention of decoders in onnx and web by onnxruntime's GroupQueryAttention, which GPUs have kernels for",
      ),
    data: z.string().optional().describe("validation data of the specialist's task, to compare its score too"),
    license: z.string().optional().describe("licence for the model card, such as apache-2.0 (default: the base's)"),
    replace: z.boolean().default(false).describe('replace the folder of an earlier export'),
    prove: z.boolean().default(true).describe('compare each format with the model'),
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
    [...proof.map(rowText), ...notes, ...files.map(({ name, bytes }) => `${out}/${name} (${formatBytes(bytes)})`)].join(
      '\n',
    ),
})
