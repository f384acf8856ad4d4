// Parts of one run that its page asks for when they are looked at: the rows of a batch, samples, and what is on disk.
import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { z } from 'zod'
import { TunesmithError } from '../../../core/index.ts'
import { compareCosts, type RunMeasurement, runFiles } from '../../../tracking/index.ts'
import { listSnapshots } from '../../../training/index.ts'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint, wholeNumber } from '../endpoint.ts'
import type { Columns } from '../runs/columns.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import type { BatchRows, CheckpointRow, RunFilesAnswer, RunSamples } from '../types/api-types.ts'
import { predictionOf } from './run-pages.ts'

export const runBatch = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/batch',
  summary: 'Read the rows that a run trained on in a step, with the loss of each token',
  query: z.strictObject({ step: wholeNumber.min(1).describe('optimizer step') }),
  async answer({ studio, run, query: { step } }): Promise<BatchRows> {
    const { folder, offset } = await run()
    try {
      return await studio.batches.read(folder, step, offset)
    } catch (error) {
      // A run whose data or base are gone cannot be read: the page says why.
      if (error instanceof TunesmithError) throw new ApiError(422, error.message, { code: 'batch_not_readable' })
      throw error
    }
  },
})

/** Characters of a sample that are sent. */
const maxText = 20_000

/** Samples of a step that are sent. */
const maxTexts = 100

export const runSamples = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/samples',
  summary: 'Read the texts that the model wrote during training',
  query: z.strictObject({
    steps: z
      .string()
      .regex(/^(\d{1,15}(,\d{1,15})*)?$/, 'expected numbers of steps, separated by commas')
      .default('')
      .describe('steps whose texts are wanted, separated by commas (default: none)')
      .transform((steps) => steps.split(',').filter(Boolean).slice(0, 8).map(Number)),
  }),
  async answer({ run, query }): Promise<RunSamples> {
    const { samples } = (await run()).outline
    return {
      steps: [...new Set(samples.map(({ step }) => step))].sort((a, b) => a - b),
      samples: query.steps.map((step) => ({
        step,
        texts: samples
          .filter((sample) => sample.step === step)
          .slice(0, maxTexts)
          .map(({ prompt, text }) => ({ prompt: prompt ?? null, text: text.slice(0, maxText) })),
      })),
    }
  },
})

const filesBelow = async (folder: string): Promise<{ name: string; bytes: number }[]> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [] as Dirent[])
  const found = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name)
      // A checkpoint may be pruned meanwhile.
      return { name: relative(folder, path), bytes: (await stat(path).catch(() => ({ size: 0 }))).size }
    })
  return (await Promise.all(found)).sort((a, b) => b.bytes - a.bytes)
}

const total = (files: readonly { bytes: number }[]) => files.reduce((sum, { bytes }) => sum + bytes, 0)

/** Checkpoints and reports that are listed. */
const maxListed = 200

/** Bytes of a report that are sent. */
const maxReport = 100_000

const checkpointRow = async (
  folder: string,
  { path, step }: { path: string; step: number },
): Promise<CheckpointRow> => {
  const files = await filesBelow(path)
  const written = await stat(path).then(
    ({ mtime }) => mtime.toISOString(),
    () => '',
  )
  return { step, path: relative(folder, path), bytes: total(files), written, files: files.slice(0, 20) }
}

const incidentReports = async (folder: string): Promise<RunFilesAnswer['incidents']> => {
  const names = await readdir(join(folder, runFiles.incidents)).catch(() => [] as string[])
  const reports = names
    .filter((name) => /^step-\d{8,}\.json$/.test(name))
    .sort()
    .slice(-maxListed)
    .map(async (name) => ({
      step: Number.parseInt(name.slice(5), 10),
      report: (await readFile(join(folder, runFiles.incidents, name), 'utf8').catch(() => '')).slice(0, maxReport),
    }))
  return Promise.all(reports)
}

/** What was predicted and measured; empty for a run without a plan. */
const costsOf = async (entry: RunEntry, columns: Columns): Promise<RunFilesAnswer['costs']> => {
  const prediction = await predictionOf(entry)
  if (prediction === undefined) return []
  const card = await entry.readJson(runFiles.card)
  const measured = card?.measured as RunMeasurement | undefined
  const [{ max }] = [columns.bucketed('memoryBytes', { buckets: 1 })]
  const soFar = { rssBytes: max[0] ?? undefined, seconds: columns.last('elapsed') }
  return compareCosts(prediction, measured ?? (soFar as RunMeasurement))
}

export const runFilesOnDisk = defineStudioEndpoint({
  method: 'get',
  path: '/api/runs/:run/files',
  summary: 'List the checkpoints of a run with their sizes, and the reports of its incidents',
  async answer({ runWithColumns }): Promise<RunFilesAnswer> {
    const { entry, columns } = await runWithColumns()
    const { folder } = entry
    const snapshots = (await listSnapshots(folder)).slice(0, maxListed)
    const model = await filesBelow(join(folder, runFiles.model))
    return {
      checkpoints: await Promise.all(snapshots.map((snapshot) => checkpointRow(folder, snapshot))),
      modelBytes: model.length === 0 ? null : total(model),
      costs: await costsOf(entry, columns),
      incidents: await incidentReports(folder),
    }
  },
})
