// Settings of an export, and which of them change something for which format: one that changes nothing is an error.
import { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'
import { type OnnxOperators, onnxOpsets } from './export-target.ts'
import { sourceSchema } from './open-source.ts'
import { type ChosenTarget, chooseTarget } from './targets.ts'

/** What is exported, how, and where to. */
export const exportSchema = z.strictObject({
  ...sourceSchema.shape,
  to: z.union([z.string(), z.array(z.string()).readonly()]).describe('formats to write, such as merged and gguf:q8_0'),
  out: z.string().describe('folder for the export; it appears when every format is written and compared'),
  replace: z.boolean().default(false).describe('replace the folder of an earlier export'),
  data: z.string().optional().describe("validation data of the specialist's task, to compare its score too"),
  license: z.string().optional().describe("licence for the model card, such as apache-2.0 (default: the base's)"),
  imatrix: z
    .array(z.string())
    .readonly()
    .optional()
    .describe('calibration texts for an importance matrix: quantised GGUF types weigh errors by it'),
  opset: z
    .literal(onnxOpsets)
    .optional()
    .describe("version of ONNX's operators in onnx: 23 has attention as an operator, for Node (default: 18)"),
  groupedQueryAttention: z
    .boolean()
    .default(false)
    .describe(
      "attention of decoders in onnx and web by onnxruntime's GroupQueryAttention, which GPUs have kernels for",
    ),
  prove: z.boolean().default(true).describe('compare each format with the model'),
})

/** What is exported, and where to. */
export interface ExportInput extends z.input<typeof exportSchema> {}

/** Checked settings, with their formats. */
export interface ExportSettings extends z.output<typeof exportSchema> {
  chosen: readonly ChosenTarget[]
  /** Operators that the settings name; undefined without any. */
  operators?: OnnxOperators
}

const namesOf = (chosen: readonly ChosenTarget[]): string => chosen.map(({ name }) => name).join(', ')

const chooseAll = (given: string | readonly string[]): ChosenTarget[] => {
  const names = [given].flat()
  if (names.length === 0) throw new ConfigError('`to` needs at least one format, such as merged.')
  const chosen = names.map(chooseTarget)
  const twice = chosen.find(({ name }, i) => chosen.findIndex((other) => other.name === name) !== i)
  if (twice !== undefined) throw new ConfigError(`Expected each format once in \`to\`, got ${twice.name} twice.`)
  const merges = chosen.filter(({ target }) => target.variants.length > 0 && !target.sharesFolder)
  for (const { target } of merges)
    if (merges.filter((other) => other.target === target).length > 1)
      throw new ConfigError(`Expected one variant of ${target.type} in \`to\`, got several. Export to two folders.`)
  return chosen
}

/** @throws ConfigError for two forms of attention at once, and formats in which a form is not offered */
const operatorsOf = (
  { opset, groupedQueryAttention }: z.output<typeof exportSchema>,
  chosen: readonly ChosenTarget[],
): OnnxOperators | undefined => {
  if (opset === undefined && !groupedQueryAttention) return undefined
  if (opset === 23 && groupedQueryAttention)
    throw new ConfigError(
      '`opset` 23 and `groupedQueryAttention` are two forms of attention: set one of them. Browsers have the latter only.',
    )
  const expect = (option: string, operators: OnnxOperators) => {
    const others = chosen.filter(({ target }) => !(target.operators ?? []).includes(operators))
    if (others.length > 0)
      throw new ConfigError(`\`${option}\` has no effect on ${namesOf(others)}: leave it out, or export to onnx alone.`)
  }
  // Formats that have one version only have none to choose, not even that one.
  if (opset !== undefined) expect('opset', 'standard')
  if (groupedQueryAttention) expect('groupedQueryAttention', 'grouped')
  return groupedQueryAttention ? 'grouped' : opset === 23 ? 'standard' : 'plain'
}

/** @throws ConfigError where no format, or no comparison, uses what is given */
const expectUsed = ({ imatrix, data, prove }: z.output<typeof exportSchema>, chosen: readonly ChosenTarget[]): void => {
  if (imatrix !== undefined && !chosen.some(({ target, variant }) => target.usesImportance?.(variant)))
    throw new ConfigError(
      `\`imatrix\` has no effect on ${namesOf(chosen)}: leave it out, or export to a type such as gguf:q4_k_m.`,
    )
  if (data === undefined) return
  if (!prove) throw new ConfigError('`data` has no effect without the comparison: leave out `data`, or set `prove`.')
  if (!chosen.some(({ target }) => target.comparesScores))
    throw new ConfigError(
      `\`data\` has no effect on ${namesOf(chosen)}, whose score is not compared: leave it out, or add a format such as merged.`,
    )
}

/**
 * Checks the settings of an export before its model is opened.
 * @throws ConfigError for unknown settings, unknown formats, and settings without effect on the formats
 */
export const exportSettings = (input: ExportInput): ExportSettings => {
  const settings = parseConfig(exportSchema, input, (path) => path.map(String).join('.') || 'exportModel')
  const chosen = chooseAll(settings.to)
  const operators = operatorsOf(settings, chosen)
  expectUsed(settings, chosen)
  return { ...settings, chosen, ...(operators === undefined ? {} : { operators }) }
}

/** @throws ConfigError for validation texts that nothing reads. @param usesTexts whether opening the model has read them */
export const expectTextsUsed = ({ texts, prove }: ExportSettings, usesTexts: boolean): void => {
  if (texts !== undefined && !prove && !usesTexts)
    throw new ConfigError('`texts` has no effect without the comparison: leave out `texts`, or set `prove`.')
}
