// Runs of Weights & Biases: as offline files, which `wandb sync` uploads, and in a server. A file is a log of LevelDB's form with records of
// wandb_internal.proto; read back with wandb 0.31. The requests to a server are those that wandb 0.31 makes when it uploads an offline run: one by
// GraphQL for the run with its settings, then rows of its history by their number, and the end.
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, makeFolder } from '../../core/index.ts'
import { ProtoMessage } from '../protobuf.ts'
import type { RunDestination, SentRun, SentState, SentStep } from './destination.ts'
import { jsonCaller } from './json-caller.ts'

/** Exit codes that W&B shows as finished, failed and stopped by Ctrl-C. */
const exitCodes: Readonly<Record<Exclude<SentState, 'running'>, number>> = {
  finished: 0,
  failed: 1,
  stopped: 130,
}

/** JSON has no such numbers; W&B shows them by their names. */
const shown = (value: number): number | string => (Number.isFinite(value) ? value : String(value))

/** A step as a row of W&B's history. @param started milliseconds since 1970 */
const historyRow = ({ step, time, values }: SentStep, started: number): Record<string, number | string> => ({
  _step: step,
  _timestamp: time / 1000,
  _runtime: (time - started) / 1000,
  ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, shown(value)])),
})

// Field numbers of wandb_internal.proto.
const RECORD = { num: 1, history: 2, summary: 3, run: 17, exit: 18, header: 21 }
const HEADER = { version: 1 }
const VERSION = { producer: 1, minConsumer: 2 }
const RUN = { id: 1, entity: 2, project: 3, config: 4, group: 6, displayName: 8, startTime: 17 }
const UPDATE = 1
const ITEM = { key: 1, value: 16 }
const HISTORY = { item: 1, step: 2 }
const STEP = { number: 1 }
const TIME = { seconds: 1, nanos: 2 }
const EXIT = { code: 1, runtime: 2 }

const blockBytes = 32_768
const headerBytes = 7
// Whole, first, middle and last parts of a record.
const parts = { full: 1, first: 2, middle: 3, last: 4 }

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xed_b8_83_20 : value >>> 1
  return value
})

/** CRC-32 of zlib, which Node has from 20.15 on. */
const crc32 = (...chunks: readonly Uint8Array[]): number => {
  let crc = 0xff_ff_ff_ff
  for (const chunk of chunks) for (const byte of chunk) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]
  return (crc ^ 0xff_ff_ff_ff) >>> 0
}

/** Cuts a record into parts that do not cross blocks. @param at offset in the file */
export const logRecord = (data: Uint8Array, at: number): Buffer => {
  const out: Buffer[] = []
  let [place, from] = [at, 0]
  for (;;) {
    const left = blockBytes - (place % blockBytes)
    if (left < headerBytes) {
      out.push(Buffer.alloc(left))
      place += left
      continue
    }
    const part = data.subarray(from, from + left - headerBytes)
    const isLast = from + part.length === data.length
    const type = from === 0 ? (isLast ? parts.full : parts.first) : isLast ? parts.last : parts.middle
    const header = Buffer.alloc(headerBytes)
    header.writeUInt32LE(crc32(Uint8Array.of(type), part), 0)
    header.writeUInt16LE(part.length, 4)
    header[6] = type
    out.push(header, Buffer.from(part))
    place += headerBytes + part.length
    from += part.length
    if (isLast) return Buffer.concat(out)
  }
}

const item = (key: string, value: unknown): ProtoMessage =>
  new ProtoMessage().text(ITEM.key, key).text(ITEM.value, JSON.stringify(value))

/** Options of `wandbDestination`. */
export interface WandbOptions {
  /** Folder of the offline runs; W&B's own is `wandb`. */
  out: string
  project: string
  /** User or team; the one who is logged in if left out. */
  entity?: string | undefined
}

/** Writes the run anew with each call: the uploaded run keeps its id. */
export const wandbDestination = ({ out, project, entity }: WandbOptions): RunDestination => {
  let file: FileHandle | undefined
  let [at, number, started] = [0, 0, 0]
  let folder = ''
  let waiting: Uint8Array[] = []
  const put = (bytes: Uint8Array): void => {
    waiting.push(bytes)
    at += bytes.length
  }
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(waiting)
    waiting = []
    await file?.writeFile(bytes)
  }
  const putRecord = (field: number, message: ProtoMessage): void =>
    put(logRecord(new ProtoMessage().varint(RECORD.num, ++number).message(field, message).encoded(), at))
  const addStep = (sent: SentStep): void => {
    const [history, summary] = [new ProtoMessage(), new ProtoMessage()]
    for (const [key, value] of Object.entries(historyRow(sent, started))) {
      history.message(HISTORY.item, item(key, value))
      summary.message(UPDATE, item(key, value))
    }
    putRecord(RECORD.history, history.message(HISTORY.step, new ProtoMessage().varint(STEP.number, sent.step)))
    putRecord(RECORD.summary, summary)
  }
  const runOf = ({ id, name, settings, group }: SentRun): ProtoMessage => {
    const config = new ProtoMessage()
    for (const [key, value] of Object.entries(settings)) config.message(UPDATE, item(key, value))
    const run = new ProtoMessage().text(RUN.id, id)
    if (entity !== undefined) run.text(RUN.entity, entity)
    if (group !== undefined) run.text(RUN.group, group)
    const time = new ProtoMessage().varint(TIME.seconds, Math.floor(started / 1000))
    return run
      .text(RUN.project, project)
      .message(RUN.config, config)
      .text(RUN.displayName, name)
      .message(RUN.startTime, time.varint(TIME.nanos, (started % 1000) * 1_000_000))
  }
  return {
    async begin(run) {
      await file?.close()
      ;[at, number, started] = [0, 0, run.started]
      const stamp = new Date(started).toISOString().replace(/[-:]/g, '').replace('T', '_').slice(0, 15)
      folder = join(out, `offline-run-${stamp}-${run.id}`)
      await makeFolder(join(folder, 'files'))
      file = await open(join(folder, `run-${run.id}.wandb`), 'w')
      put(Uint8Array.of(...Buffer.from(':W&B'), 0xe1, 0xbe, 0))
      const version = new ProtoMessage().text(VERSION.producer, 'tunesmith').text(VERSION.minConsumer, '0.70.0')
      putRecord(RECORD.header, new ProtoMessage().message(HEADER.version, version))
      putRecord(RECORD.run, runOf(run))
      await flush()
    },
    async add(steps) {
      for (const step of steps) addStep(step)
      await flush()
    },
    async end(state, time) {
      if (state !== 'running')
        putRecord(
          RECORD.exit,
          new ProtoMessage()
            .varint(EXIT.code, exitCodes[state])
            .varint(EXIT.runtime, Math.max(0, Math.round((time - started) / 1000))),
        )
      await flush()
      await file?.sync()
      await file?.close()
      file = undefined
      return `${folder}: upload it with \`wandb sync ${folder}\``
    },
  }
}

/** Options of `wandbServerDestination`. */
export interface WandbServerOptions {
  /** Address of the server's API: https://api.wandb.ai, or that of a server of your own. */
  url: string
  project: string
  /** User or team; the owner of the key if left out. */
  entity?: string | undefined
  signal?: AbortSignal | undefined
}

const mutation = `mutation UpsertBucket($name: String, $project: String, $entity: String, $groupName: String, $displayName: String, $config: JSONString) {
  upsertBucket(input: {name: $name, groupName: $groupName, modelName: $project, entityName: $entity, displayName: $displayName, config: $config}) {
    bucket { name project { name entity { name } } historyLineCount }
  }
}`

const upserted = z.object({
  data: z.object({
    upsertBucket: z.object({
      bucket: z.object({
        project: z.object({ name: z.string(), entity: z.object({ name: z.string() }) }),
        historyLineCount: z.number().nullish(),
      }),
    }),
  }),
})

const nothing = z.looseObject({})

/** The page of a run is not on the host of the API of wandb.ai. */
const pagesOf = (url: string): string => url.replace(/^https:\/\/api\.wandb\.ai\b/, 'https://wandb.ai')

/**
 * Sends a run to a server of W&B. Rows that are there already are left out: the server counts them.
 * @throws ConfigError without WANDB_API_KEY
 */
export const wandbServerDestination = ({ url, project, entity, signal }: WandbServerOptions): RunDestination => {
  const key = process.env.WANDB_API_KEY
  if (key === undefined || key === '')
    throw new ConfigError('A server of W&B needs a key: set WANDB_API_KEY, or leave `url` out to write offline files.')
  const base = url.replace(/\/+$/, '')
  const headers = { authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` }
  const call = jsonCaller({ name: 'a W&B server', url, base, headers, signal })
  let started = 0
  let path = ''
  // Rows that the server has, and rows that were read.
  let [known, row] = [0, 0]
  const stream = (body: object) => call(`files/${path}/file_stream`, body, nothing)
  return {
    async begin(run: SentRun) {
      const config = Object.fromEntries(Object.entries(run.settings).map(([name, value]) => [name, { value }]))
      const variables = {
        name: run.id,
        project,
        entity: entity ?? null,
        groupName: run.group ?? null,
        displayName: run.name,
        config: JSON.stringify(config),
      }
      const request = { query: mutation, variables, operationName: 'UpsertBucket' }
      const { bucket } = (await call('graphql', request, upserted))!.data.upsertBucket
      path = [bucket.project.entity.name, bucket.project.name, run.id].map(encodeURIComponent).join('/')
      started = run.started
      ;[known, row] = [bucket.historyLineCount ?? 0, 0]
    },
    async add(steps: readonly SentStep[]) {
      const rows = steps.map((step) => JSON.stringify(historyRow(step, started)))
      const fresh = rows.slice(Math.max(0, known - row))
      row += rows.length
      if (fresh.length === 0) return
      const offset = row - fresh.length
      const summary = { offset: 0, content: [rows.at(-1)] }
      await stream({
        files: { 'wandb-history.jsonl': { offset, content: fresh }, 'wandb-summary.json': summary },
      })
    },
    async end(state: SentState) {
      if (state !== 'running') await stream({ complete: true, exitcode: exitCodes[state] })
      const [owner, name, id] = path.split('/')
      return `${pagesOf(base)}/${owner}/${name}/runs/${id}`
    },
  }
}
