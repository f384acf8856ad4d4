// Every architecture, head and format of `export`: small models of odd settings with random weights, each export opened in the
// program that will use it. `npm run bench -- exports [ARCHITECTURE …]` writes docs/results/export-formats.md from what it
// measured; with names of architectures, or --smoke, it prints the rows only. node-llama-cpp must be installed beside the
// program.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { saveModel } from '../src/checkpoint/index.ts'
import type { ExportSource } from '../src/export/index.ts'
import { exportTargets } from '../src/export/index.ts'
import { openSource } from '../src/export/open-source.ts'
import { proofTexts } from '../src/export/proof/proof-texts.ts'
import { type HeadType, headsOf, type ModelType, models } from '../src/models/index.ts'
import { trainTokenizer } from '../src/tokenizers/index.ts'
import { oddModel } from '../tests/export/onnx-fixture.ts'
import type { BenchOptions } from './main.ts'

/** Formats of the table: a name that `--to` takes, and the program that computes. */
const formats = exportTargets
  .filter(({ type }) => ['merged', 'onnx', 'gguf'].includes(type))
  .flatMap(({ type, variants }) =>
    (type === 'onnx' ? ['', ...variants] : variants).map((variant) => ({
      target: type,
      variant,
      name: variant === '' ? `${type}:fp32` : `${type}:${variant}`,
    })),
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
  cells: Map<string, Cell>
  refused: Map<string, string>
}

const texts = proofTexts(undefined)
const consumers = new Set<string>()

const measure = async (source: ExportSource, { target, variant }: (typeof formats)[number], folder: string) => {
  const entry = exportTargets.find(({ type }) => type === target)
  if (entry?.prove === undefined) throw new Error(`no proof of ${target}`)
  await entry.check?.(source, variant)
  mkdirSync(folder, { recursive: true })
  const context = { note: () => {}, texts }
  await entry.write(source, variant, folder, context)
  const rows = await entry.prove(source, variant, folder, context)
  for (const { consumer } of rows) consumers.add(consumer)
  const theirs = rows.filter(({ consumer }) => consumer !== 'tunesmith')
  const valueIn = (list: typeof rows, check: RegExp) => list.find((row) => check.test(row.check))?.value
  const relative = /^logits, largest relative/
  // llama.cpp is compared with the stored weights; our own reading of the file, with the model.
  const inGguf = target === 'gguf'
  const arithmetic = valueIn(theirs, inGguf ? relative : /^logits against/)
  return {
    difference: Number(valueIn(inGguf || theirs.length === 0 ? rows : theirs, relative)),
    ...(arithmetic === undefined ? {} : { arithmetic: Number(arithmetic) }),
    failed: rows.filter(({ ok }) => !ok).map(({ check, value, limit }) => `${check} ${value} (limit ${limit})`),
  }
}

const measureModel = async (type: ModelType, head: HeadType, root: string, tokenizer: string): Promise<Row> => {
  const folder = join(root, `${type}-${head}`)
  const row: Row = { type, head, cells: new Map(), refused: new Map() }
  await saveModel(oddModel(type, head, { vocabSize: 300 }, 0.05), folder, { tokenizer })
  const source = await openSource({ model: folder })
  for (const format of formats) {
    try {
      row.cells.set(format.name, await measure(source, format, join(folder, format.name.replace(':', '-'))))
    } catch (error) {
      row.refused.set(format.name, (error as Error).message)
    }
  }
  rmSync(folder, { recursive: true })
  return row
}

const short = (value: number): string =>
  value === 0 ? '0' : value < 1e-3 ? value.toExponential(0) : value.toPrecision(1)

const cellText = (row: Row, name: string): string => {
  const cell = row.cells.get(name)
  if (cell === undefined) return 'refused'
  const { difference, arithmetic, failed } = cell
  const both = arithmetic === undefined ? short(difference) : `${short(difference)} (${short(arithmetic)})`
  return failed.length === 0 ? both : `**${both}**`
}

const tableOf = (rows: readonly Row[], names: readonly string[]): string[] => {
  const used = rows.filter(({ cells }) => names.some((name) => cells.has(name)))
  return [
    `| architecture | head | ${names.map((name) => name.split(':')[1]).join(' | ')} |`,
    `| --- | --- | ${names.map(() => '---').join(' | ')} |`,
    ...used.map((row) => `| ${row.type} | ${row.head} | ${names.map((name) => cellText(row, name)).join(' | ')} |`),
  ]
}

const page = (rows: readonly Row[]): string => {
  const of = (target: string) => formats.filter((format) => format.target === target).map(({ name }) => name)
  const gguf = of('gguf')
  const refusedIn = (names: readonly string[]) => [
    ...new Set(
      rows.filter(({ cells }) => !names.some((name) => cells.has(name))).map(({ type, head }) => `${type} (${head})`),
    ),
  ]
  const failures = rows.flatMap((row) =>
    [...row.cells].flatMap(([name, { failed }]) => failed.map((one) => `- ${row.type}, ${row.head}, ${name}: ${one}`)),
  )
  const programs = [...consumers].filter((one) => one !== 'tunesmith').sort()
  return [
    '# Every architecture, head and format of an export',
    '',
    `Written by \`npm run bench -- exports\` on ${new Date().toISOString().slice(0, 10)} with ${programs.join(', ')}.`,
    '',
    'Small models of odd settings with random weights. A number is the largest difference of a logit from that of the',
    'model, relative to the largest logit, on six texts; in parentheses that from the stored quantised weights in float32,',
    'which is the arithmetic of the program. Merged folders are read by Tunesmith, ONNX by onnxruntime; GGUF is read by',
    'Tunesmith, and in parentheses by llama.cpp. Random weights lose more in few bits than trained ones.',
    '',
    ...(failures.length === 0
      ? ['Every check of every proof is within its tolerance.']
      : ['Checks beyond their tolerance, bold in the tables; `export` refuses such a model:', '', ...failures]),
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
    '## GGUF',
    '',
    ...tableOf(rows, gguf.slice(0, gguf.length / 2)),
    '',
    ...tableOf(rows, gguf.slice(gguf.length / 2)),
    '',
    'Other architectures and heads are refused.',
    '',
  ].join('\n')
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
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
    const rows: Row[] = []
    for (const definition of Object.values(models)) {
      if (wanted.length > 0 && !wanted.includes(definition.type)) continue
      const heads = Object.keys(headsOf(definition, definition.adjust(definition.presets.test, {}))) as HeadType[]
      for (const head of smoke ? heads.slice(0, 1) : heads) {
        const row = await measureModel(definition.type as ModelType, head, root, tokenizer)
        rows.push(row)
        console.log(JSON.stringify({ type: row.type, head, cells: Object.fromEntries(row.cells) }))
        for (const [name, reason] of row.refused)
          if (!name.startsWith('gguf') || name === 'gguf:q8_0') console.log(`  ${name}: ${reason}`)
      }
    }
    if (wanted.length === 0)
      writeFileSync(join(import.meta.dirname, '..', 'docs', 'results', 'export-formats.md'), page(rows))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
