// Every architecture, head and format of `export`: small models of odd settings with random weights, each export opened in the
// program that will use it. `npm run bench -- exports [ARCHITECTURE …] > ROWS` prints a row for each model, and
// `npm run bench -- exports --write ROWS …` puts the rows of one or several runs into docs/results/export-formats.md, beside the
// numbers that it has of other models and formats. FORMATS restricts them, as in FORMATS=merged,onnx: onnx-standard and
// onnx-grouped are ONNX with other operators.
// node-llama-cpp must be installed beside the program.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel, saveModel } from '../src/checkpoint/index.ts'
import { ConfigError } from '../src/core/index.ts'
import type { OnnxOperators } from '../src/export/export-target.ts'
import { architectures } from '../src/export/gguf/architectures.ts'
import { type ExportSource, exportTargets } from '../src/export/index.ts'
import { openSource } from '../src/export/open-source.ts'
import { freeModel } from '../src/export/proof/compare-models.ts'
import { proofTexts } from '../src/export/proof/runner.ts'
import { type HeadType, headsOf, type ModelType, models } from '../src/models/index.ts'
import { trainTokenizer } from '../src/tokenizers/index.ts'
import { groupable, odd, oddModel } from '../tests/export/onnx-fixture.ts'
import type { BenchOptions } from './main.ts'

/** A format of the tables. */
interface Format {
  /** Formats of one table: the target, with the operators where these are not the default. */
  group: string
  target: string
  variant: string
  operators?: OnnxOperators
  /** Group and variant. */
  name: string
}

const formats = exportTargets
  .filter(({ type }) => ['merged', 'onnx', 'gguf'].includes(type))
  .flatMap(({ type, variants, operators = ['plain'] }) =>
    operators.flatMap((one) => {
      const group = one === 'plain' ? type : `${type}-${one}`
      return (type === 'onnx' ? ['', ...variants] : variants).map(
        (variant): Format => ({ group, target: type, variant, operators: one, name: `${group}:${variant || 'fp32'}` }),
      )
    }),
  )

/** What was measured of one model in one format. */
interface Cell {
  /** Largest difference of logits from the model, relative to the largest logit. */
  difference: number
  /** The same from the quantised weights in float32: what the program's arithmetic adds. */
  arithmetic?: number
  /** Checks beyond their tolerance. */
  failed: string[]
}

interface Row {
  type: string
  head: HeadType
  /** By format; a format that the model is refused in has none. */
  cells: Record<string, Cell>
  /** Programs that computed. */
  consumers: string[]
}

const texts = proofTexts(undefined)
const measure = async (
  source: ExportSource,
  { target, variant, operators }: Format,
  folder: string,
): Promise<{ cell: Cell; consumers: string[] }> => {
  const entry = exportTargets.find(({ type }) => type === target)
  if (entry?.prove === undefined) throw new Error(`no proof of ${target}`)
  source.operators = operators
  await entry.check?.(source, variant)
  mkdirSync(folder, { recursive: true })
  const context = { note: () => {}, texts }
  await entry.write(source, variant, folder, context)
  const rows = await entry.prove(source, variant, folder, context)
  const theirs = rows.filter(({ consumer }) => consumer !== 'tunesmith')
  const valueIn = (list: typeof rows, check: RegExp) => list.find((row) => check.test(row.check))?.value
  const relative = /^logits, largest relative/
  // llama.cpp is compared with the stored weights; our own reading of the file, with the model.
  const inGguf = target === 'gguf'
  const arithmetic = valueIn(theirs, inGguf ? relative : /^logits against/)
  const cell: Cell = {
    difference: Number(valueIn(inGguf || theirs.length === 0 ? rows : theirs, relative)),
    ...(arithmetic === undefined ? {} : { arithmetic: Number(arithmetic) }),
    failed: rows.filter(({ ok }) => !ok).map(({ check, value, limit }) => `${check} ${value} (limit ${limit})`),
  }
  return { cell, consumers: theirs.map(({ consumer }) => consumer) }
}

/** Rows of whole blocks of 256, so that every type of GGUF is used as such. */
const wide = { hiddenSize: 256, intermediateSize: 512 }

/**
 * Instead of settings that llama.cpp does not have. Mixtures take all experts: which of random ones are taken is decided by rounding, as
 * by the float16 of llama.cpp's cache.
 */
const knownToLlamaCpp: Record<string, Record<string, unknown>> = {
  bert: { activation: 'gelu' },
  gemma2: { queryScale: 12 },
  gemma3: { queryScale: 12 },
  gpt2: { scaleAttentionByLayer: false },
  mistral: { slidingWindow: 0 },
  mixtral: { slidingWindow: 0, expertsPerToken: 5 },
  modernbert: { normBias: false, mlpBias: false },
  'qwen3-moe': { denseLayers: [], normalizeWeights: true, expertSize: 256, expertsPerToken: 5 },
  smollm3: { numLayers: 5, positionlessInterval: 4, mlpBias: false },
  t5: { numDecoderLayers: 2, relativeMaxDistance: 128 },
}

/** In all formats: what depends on the tokenizer, and RoPE scaling that does not depend on the length of a batch. */
const measurable: Record<string, Record<string, unknown>> = {
  mbart: { padTokenId: 1 },
  qwen3: { ropeScaling: { kind: 'linear', factor: 2 } },
}

/** Settings of the model that is measured in some formats. */
const changesFor = (type: ModelType, group: string): Record<string, unknown> =>
  group !== 'gguf'
    ? { vocabSize: 300, ...measurable[type], ...(group === 'onnx-grouped' ? groupable[type] : {}) }
    : {
        vocabSize: 300,
        ...measurable[type],
        ...wide,
        ...(odd[type]?.hiddenSize === undefined ? {} : { numHeads: 4 }),
        ...knownToLlamaCpp[type],
      }

/** Measures one model in formats of one kind. */
const measureIn = async (
  group: string,
  { type, head, folder, tokenizer }: { type: ModelType; head: HeadType; folder: string; tokenizer: string },
): Promise<Pick<Row, 'cells' | 'consumers'>> => {
  const original = oddModel(type, head, changesFor(type, group), 0.05)
  await saveModel(original, folder, { tokenizer })
  const source = await openSource({ model: folder })
  // Without the task of a run, a head that has no class in transformers is opened as another one.
  if (source.model.headType !== head) {
    freeModel(source.model)
    source.model = (await loadModel(folder, { head, headOptions: original.headOptions, dtype: 'float32' })).eval()
  }
  const cells: Row['cells'] = {}
  const consumers = new Set<string>()
  for (const format of formats.filter((one) => one.group === group)) {
    try {
      const found = await measure(source, format, join(folder, format.name.replace(':', '-')))
      cells[format.name] = found.cell
      for (const one of found.consumers) consumers.add(one)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
    }
  }
  freeModel(source.model)
  freeModel(original)
  rmSync(folder, { recursive: true })
  return { cells, consumers: [...consumers] }
}

const measureModel = async (type: ModelType, head: HeadType, root: string, tokenizer: string): Promise<Row> => {
  const row: Row = { type, head, cells: {}, consumers: [] }
  const groups = [...new Set(formats.map(({ group }) => group))]
  for (const group of groups.filter((one) => (process.env.FORMATS ?? one).split(',').includes(one))) {
    if (group === 'gguf' && !Object.hasOwn(architectures, type)) continue
    const folder = join(root, `${type}-${head}`)
    const { cells, consumers } = await measureIn(group, { type, head, folder, tokenizer })
    Object.assign(row.cells, cells)
    row.consumers = [...new Set([...row.consumers, ...consumers])]
  }
  return row
}

const short = (value: number): string =>
  value === 0 ? '0' : value < 1e-3 ? value.toExponential(0) : value.toPrecision(1)

const cellText = (row: Row, name: string): string => {
  const cell = row.cells[name] as Cell | undefined
  if (cell === undefined) return 'refused'
  const { difference, arithmetic, failed } = cell
  const both = arithmetic === undefined ? short(difference) : `${short(difference)} (${short(arithmetic)})`
  return failed.length === 0 ? both : `**${both}**`
}

const tableOf = (rows: readonly Row[], names: readonly string[]): string[] => {
  const used = rows.filter(({ cells }) => names.some((name) => name in cells))
  if (used.length === 0) return ['No model was measured yet.']
  return [
    `| architecture | head | ${names.map((name) => name.split(':')[1]).join(' | ')} |`,
    `| --- | --- | ${names.map(() => '---').join(' | ')} |`,
    ...used.map((row) => `| ${row.type} | ${row.head} | ${names.map((name) => cellText(row, name)).join(' | ')} |`),
  ]
}

/** Where the tables of the page begin, and their formats. */
const sections: [start: string, group: string][] = [
  ['## Merged folders', 'merged'],
  ['## ONNX', 'onnx'],
  ['With the operators of opset 23 (`--opset 23`):', 'onnx-standard'],
  ['With GroupQueryAttention (`--grouped-query-attention`)', 'onnx-grouped'],
  ['## GGUF', 'gguf'],
]

/** A cell of a table, without its failed checks. */
const cellOf = (text: string): Cell | undefined => {
  const found = /^\**(?<difference>[\d.e-]+)(?: \((?<arithmetic>[\d.e-]+)\))?\**$/.exec(text)?.groups
  if (found === undefined) return undefined
  const { difference, arithmetic } = found
  return {
    difference: Number(difference),
    ...(arithmetic === undefined ? {} : { arithmetic: Number(arithmetic) }),
    failed: [],
  }
}

/** The rows of the page as it is, and the days and programs that it names. */
const readPage = (text: string): { rows: Row[]; days: string[] } => {
  const [, written = '', programs = ''] = /^Written by .* on ([\s\S]*?) with\n(.*)\.$/m.exec(text) ?? []
  const rows: Row[] = []
  const rowOf = (type: string, head: string): Row => {
    const found = rows.find((row) => row.type === type && row.head === head)
    if (found !== undefined) return found
    const row: Row = { type, head: head as HeadType, cells: {}, consumers: programs.split(', ') }
    rows.push(row)
    return row
  }
  let [group, variants]: [string, string[]] = ['', []]
  for (const line of text.split('\n')) {
    group = sections.find(([start]) => line.startsWith(start))?.[1] ?? group
    if (!line.startsWith('| ') || line.startsWith('| ---')) continue
    const [type, head, ...cells] = line.slice(2, -2).split(' | ')
    if (type === 'architecture') variants = cells
    else
      for (const [i, variant] of variants.entries()) {
        const cell = cellOf(cells[i])
        if (cell !== undefined) rowOf(type, head).cells[`${group}:${variant}`] = cell
      }
  }
  for (const [, type, head, format, check] of text.matchAll(/^- ([\w-]+), ([\w-]+), ([\w-]+:\w+): (.*)$/gm))
    rowOf(type, head).cells[format]?.failed.push(check)
  return { rows, days: written.match(/\d{4}-\d{2}-\d{2}/g) ?? [] }
}

const page = (rows: readonly Row[], days: readonly string[]): string => {
  const of = (group: string) => formats.filter((format) => format.group === group).map(({ name }) => name)
  const gguf = of('gguf')
  const refusedIn = (names: readonly string[]) => [
    ...new Set(rows.filter(({ cells }) => !names.some((name) => name in cells)).map(({ type }) => type)),
  ]
  const unmeasured = Object.keys(architectures).filter(
    (name) => !rows.some(({ type, cells }) => type === name && gguf.some((one) => one in cells)),
  )
  const headsIn = ({ cells }: Row) =>
    of('onnx').some((name) => name in cells) || of('merged').some((name) => name in cells)
  const missing = Object.values(models).flatMap((definition) => {
    const heads = Object.keys(headsOf(definition, definition.adjust(definition.presets.test, {})))
    const found = rows.filter((row) => row.type === definition.type && headsIn(row))
    return found.length === heads.length ? [] : [`${definition.type} (${found.length} of ${heads.length} heads)`]
  })
  const failures = rows.flatMap((row) =>
    Object.entries(row.cells).flatMap(([name, { failed }]) =>
      failed.map((one) => `- ${row.type}, ${row.head}, ${name}: ${one}`),
    ),
  )
  const programs = [...new Set(rows.flatMap(({ consumers }) => consumers))].sort()
  return [
    '# Every architecture, head and format of an export',
    '',
    `Written by \`npm run bench -- exports\` on ${days.join(' and ')} with`,
    `${programs.join(', ')}.`,
    '',
    'Small models of odd settings with random weights. A number is the largest difference of a logit from that of the',
    'model, relative to the largest logit, on six texts; in parentheses that from the stored quantised weights in float32,',
    'which is the arithmetic of the program. Merged folders are read by Tunesmith, ONNX by onnxruntime; GGUF is read by',
    'Tunesmith, and in parentheses by llama.cpp; its models have rows of 256 and 512 values, so that every type is used.',
    'Random weights lose more in few bits than trained ones.',
    '',
    ...(missing.length === 0 ? [] : ['Not measured as a whole yet:', '', ...missing.map((line) => `- ${line}`), '']),
    ...(failures.length === 0
      ? ['Every check of every proof below is within its tolerance.']
      : ['Checks beyond their tolerance, bold in the tables; `export` refuses such a model.', '', ...failures]),
    '',
    '## Merged folders',
    '',
    ...tableOf(rows, of('merged')),
    '',
    '## ONNX',
    '',
    ...tableOf(rows, of('onnx')),
    '',
    `Refused: ${refusedIn(of('onnx')).join(', ') || 'none'}.`,
    '',
    'With the operators of opset 23 (`--opset 23`):',
    '',
    ...tableOf(rows, of('onnx-standard')),
    '',
    'With GroupQueryAttention (`--grouped-query-attention`), heads of 8 to 40 elements:',
    '',
    ...tableOf(rows, of('onnx-grouped')),
    '',
    'Other architectures and heads are refused with GroupQueryAttention.',
    '',
    '## GGUF',
    '',
    ...tableOf(rows, gguf.slice(0, gguf.length / 2)),
    '',
    ...tableOf(rows, gguf.slice(gguf.length / 2)),
    '',
    ...(unmeasured.length === 0 ? [] : ['Not measured yet:', '', ...unmeasured.map((name) => `- ${name}`), '']),
    'Other architectures and heads are refused.',
    '',
  ].join('\n')
}

/** Rows that earlier runs printed, with those of the page, in the order of the architectures. */
const readRows = (files: readonly string[], rows: Row[]): Row[] => {
  const order = Object.keys(models)
  for (const line of files.flatMap((file) => readFileSync(file, 'utf8').split('\n'))) {
    if (!line.startsWith('{"type"')) continue
    const row = JSON.parse(line) as Row
    const known = rows.find(({ type, head }) => type === row.type && head === row.head)
    if (known === undefined) rows.push({ ...row, consumers: row.consumers ?? [] })
    else {
      Object.assign(known.cells, row.cells)
      known.consumers = [...new Set([...known.consumers, ...(row.consumers ?? [])])]
    }
  }
  return rows.sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type))
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  if (rest[0] === '--write') {
    const path = join(import.meta.dirname, '..', 'docs', 'results', 'export-formats.md')
    const { rows, days } = readPage(readFileSync(path, 'utf8'))
    const today = new Date().toISOString().slice(0, 10)
    writeFileSync(path, page(readRows(rest.slice(1), rows), [...new Set([...days, today])]))
    return
  }
  const root = mkdtempSync(join(tmpdir(), 'tunesmith-exports-'))
  try {
    const { files } = await trainTokenizer(
      texts.flatMap((text) => Array<string>(20).fill(text)),
      { type: 'bpe', vocabSize: 290, minFrequency: 1 },
      { workers: 1 },
    )
    const tokenizer = join(root, 'tokenizer')
    mkdirSync(tokenizer)
    for (const [name, content] of Object.entries(files)) writeFileSync(join(tokenizer, name), content)
    const wanted = smoke ? ['bert'] : rest
    for (const definition of Object.values(models)) {
      if (wanted.length > 0 && !wanted.includes(definition.type)) continue
      const heads = Object.keys(headsOf(definition, definition.adjust(definition.presets.test, {}))) as HeadType[]
      for (const head of smoke ? heads.slice(0, 1) : heads)
        console.log(JSON.stringify(await measureModel(definition.type as ModelType, head, root, tokenizer)))
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
