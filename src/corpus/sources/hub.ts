// Data sets of the Hugging Face Hub by id: their files are listed and streamed, never executed. The path is
// `owner/name` or `owner/name@revision`, optionally followed by `/file` or `/folder`.
import type { ListFileEntry } from '@huggingface/hub'
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { decompressed } from '../../files/index.ts'
import { csv, readCsv } from './csv.ts'
import { jsonl, readJsonl, recordConfig } from './jsonl.ts'
import { parquet, readParquet } from './parquet.ts'
import { defineSource, type SourceContext, type SourceRecord } from './source.ts'
import { readText, text } from './text.ts'

const config = z.strictObject({
  ...recordConfig,
  files: z.string().default('').describe('part of the paths of the files to read, such as train'),
  endpoint: z.string().default('https://huggingface.co').describe('URL of the Hub; HF_ENDPOINT overrides the default'),
  tokenVariable: z.string().default('HF_TOKEN').describe('environment variable with the access token'),
})

type HubConfig = z.output<typeof config>

const formats: Record<string, RegExp> = {
  parquet: /\.parquet$/,
  jsonl: /\.(?:jsonl|ndjson)(?:\.gz|\.bz2|\.zst)?$/,
  csv: /\.(?:csv|tsv)(?:\.gz|\.bz2|\.zst)?$/,
  text: /\.txt(?:\.gz|\.bz2|\.zst)?$/,
}

const parsePath = (path: string): { name: string; revision: string; inside: string } => {
  const match = /^(?:hub:\/\/)?([\w.-]+\/[\w.-]+)(?:@([\w.-]+))?(?:\/(.*))?$/.exec(path)
  if (match === null || match[0].includes('..')) {
    throw new DataError(`Expected a data set such as owner/name, owner/name@revision or owner/name/file, got ${path}.`)
  }
  return { name: match[1], revision: match[2] ?? 'main', inside: match[3] ?? '' }
}

const access = (options: HubConfig): { hubUrl: string; accessToken?: string } => {
  const fallback = process.env.HF_ENDPOINT
  const hubUrl = options.endpoint === 'https://huggingface.co' && fallback ? fallback : options.endpoint
  const token = process.env[options.tokenVariable]
  return { hubUrl: hubUrl.replace(/\/+$/, ''), ...(token ? { accessToken: token } : {}) }
}

const expand = async (path: string, options: HubConfig): Promise<string[]> => {
  const { name, revision, inside } = parsePath(path)
  const { listFiles } = await import('@huggingface/hub')
  const entries: ListFileEntry[] = []
  try {
    const folder = Object.values(formats).some((format) => format.test(inside))
      ? inside.replace(/\/?[^/]*$/, '')
      : inside
    const listing = listFiles({
      repo: { type: 'dataset', name },
      recursive: true,
      revision,
      ...(folder === '' ? {} : { path: folder }),
      ...access(options),
    })
    for await (const entry of listing) if (entry.type === 'file') entries.push(entry)
  } catch (error) {
    throw new DataError(
      `Expected to list the data set ${name}, got ${(error as Error).message}. Check the name and the network.`,
    )
  }
  const wanted = entries
    .map((entry) => entry.path)
    .filter(
      (file) => (inside === '' || file === inside || file.startsWith(`${inside}/`)) && file.includes(options.files),
    )
  // A data set often has the same rows in several formats: the first one available is read, in this order.
  for (const format of Object.values(formats)) {
    const files = wanted.filter((file) => format.test(file)).sort()
    if (files.length > 0) return files.map((file) => `hub://${name}@${revision}/${file}`)
  }
  throw new DataError(
    `Expected parquet, jsonl, csv or txt files in the data set ${name}, got ${wanted.slice(0, 10).join(', ') || 'none that match'}.`,
  )
}

async function* open(path: string, options: HubConfig, context: SourceContext): AsyncGenerator<SourceRecord> {
  const { name, revision, inside } = parsePath(path)
  const { downloadFile } = await import('@huggingface/hub')
  const blob = await downloadFile({
    repo: { type: 'dataset', name },
    path: inside,
    revision,
    ...access(options),
  }).catch((error: Error) => {
    throw new DataError(`Expected to fetch ${inside}, got ${error.message}. Check the name and the network.`, path)
  })
  if (blob === null)
    throw new DataError('Expected a file of the data set, got no file with that name. Check the path.', path)
  const { textField, idField, metadata } = options
  const record = { textField, idField, metadata }
  if (formats.parquet.test(inside)) {
    const file = {
      byteLength: blob.size,
      slice: (start: number, end?: number) => blob.slice(start, end ?? blob.size).arrayBuffer(),
    }
    yield* readParquet(file, path, parquet.config.parse(record), context)
    return
  }
  const bytes = decompressed(blobBytes(blob, path), { path, signal: context.signal })
  if (formats.jsonl.test(inside)) yield* readJsonl(bytes, path, jsonl.config.parse(record), context)
  else if (formats.csv.test(inside)) yield* readCsv(bytes, path, csv.config.parse(record), context)
  else yield* readText(bytes, path, text.config.parse({ document: 'line' }), context)
}

async function* blobBytes(blob: Blob, path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of blob.stream()) yield chunk
  } catch (error) {
    throw new DataError(`Expected the whole file, got ${(error as Error).message}. Run the command again.`, path)
  }
}

/** Data sets of the Hugging Face Hub. */
export const hub = defineSource({
  type: 'hub',
  config,
  summary: 'data set of the Hugging Face Hub by id: its Parquet, JSON lines, CSV or text files',
  extensions: [],
  open,
  expand,
})
