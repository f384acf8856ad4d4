// A crowd of requests of random kinds and lengths, whose clients leave early by chance, against a server in this process. Each answer must
// be the one that the same request got alone, and at the end nothing may be left: no request, no text, no tensor.
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createRandom, type Random } from '../../src/core/index.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { liveTensors } from '../../src/tensor/index.ts'
import { seaTexts } from '../../tests/serving/fixture.ts'

/** A request and how its client behaves. */
interface SoakRequest {
  path: string
  body: { [field: string]: unknown; model: string }
}

/** Names of models, by what they can do. */
export interface SoakModels {
  writers: readonly string[]
  /** A name whose adapter is replaced while requests run, and the folders of its versions. */
  swapped: { name: string; folders: readonly string[] }
}

/** What a crowd did. */
export interface SoakReport {
  requests: number
  /** Answers that were read to their end. */
  answered: number
  /** Requests whose client left. */
  left: number
  /** Requests at fault that were refused, as they should be. */
  refused: number
  /** Answers that differ from those of the same request alone, and requests that were lost: at most 20. */
  faults: string[]
  seconds: number
  /** Live tensors before and after. */
  tensors: readonly [before: number, after: number]
  /** Resident memory in bytes, at the beginning, after each tenth, and at the end. */
  memory: number[]
}

/** Settings of a crowd. */
export interface SoakSettings {
  requests: number
  /** Clients that send requests at the same time (default: 24). */
  clients?: number
  /** Random seed (default: 0). */
  seed?: number
  /** Seconds without any answer after which the server counts as hanging (default: 120). */
  hangSeconds?: number
  onProgress?(done: number): void
}

const pick = <Value>(random: Random, values: readonly Value[]): Value => values[random.integer(values.length)]

const text = (random: Random): string => {
  const words = seaTexts.join(' ').split(' ')
  const from = random.integer(words.length - 1)
  return words.slice(from, from + 1 + random.integer(30)).join(' ')
}

const schema = {
  type: 'object',
  properties: { port: { enum: ['Köln', 'sea'] }, ships: { type: 'array', items: { type: 'boolean' }, maxItems: 2 } },
  required: ['port', 'ships'],
}

const messages = (random: Random) =>
  Array.from({ length: 1 + 2 * random.integer(2) }, (_, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: text(random),
  }))

const chat = (random: Random, model: string) => ({
  model,
  messages: messages(random),
  seed: random.integer(99),
  max_tokens: 1 + random.integer(24),
})

/** Requests of every kind; the same number gives the same request. */
const kinds: readonly ((random: Random, model: string) => SoakRequest)[] = [
  (random, model) => ({
    path: '/v1/chat/completions',
    body: { ...chat(random, model), n: 1 + random.integer(2) },
  }),
  (random, model) => ({ path: '/v1/chat/completions', body: { ...chat(random, model), stream: true } }),
  (random, model) => ({
    path: '/v1/chat/completions',
    body: {
      ...{ model, messages: messages(random), seed: 1, max_tokens: 40 },
      response_format: { type: 'json_schema', json_schema: { name: 'ships', schema } },
    },
  }),
  (random, model) => ({
    path: '/v1/completions',
    body: {
      model,
      prompt: [text(random), text(random)],
      temperature: 0,
      max_tokens: 1 + random.integer(30),
      stream: random.integer(2) === 0,
    },
  }),
  (random, model) => ({
    path: '/v1/completions',
    body: {
      model,
      prompt: text(random),
      echo: true,
      logprobs: random.integer(3),
      seed: random.integer(9),
      max_tokens: random.integer(8),
    },
  }),
  (random, model) => ({
    path: '/v1/completions',
    body: {
      model,
      prompt: text(random),
      seed: random.integer(9),
      max_tokens: 60,
      stop: [' ', 'e'],
      top_p: 0.9,
      frequency_penalty: 0.5,
    },
  }),
  (random, model) => ({ path: '/v1/embeddings', body: { model, input: [text(random), text(random)] } }),
  (random, model) => ({ path: '/v1/score', body: { model, text_1: text(random), text_2: [text(random)] } }),
  (random, model) => ({ path: '/tokenize', body: { model, prompt: text(random) } }),
  // At fault: another model, an unknown field, a prompt that is too long.
  (random) => ({ path: '/v1/completions', body: { model: 'nobody', prompt: text(random) } }),
  (random, model) => ({ path: '/v1/completions', body: { model, prompt: text(random), max_token: 3 } }),
  (random, model) => ({ path: '/v1/completions', body: { model, prompt: text(random).repeat(300), max_tokens: 3 } }),
]

/** What an answer says, without ids, times, and what depends on the cache of prompts. */
const essence = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(essence)
  if (typeof value !== 'object' || value === null) return value
  const skipped = new Set(['id', 'created', 'prompt_tokens_details'])
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (skipped.has(key) ? [] : [[key, essence(inner)]])),
  )
}

/** The texts of a stream by choice, with their reasons: how they are cut into events depends on nothing but chance. */
const streamEssence = (body: string): unknown => {
  const choices: { text: string; reason: unknown }[] = []
  const events = body.split('\n\n').filter((event) => event.startsWith('data: '))
  if (events.at(-1) !== 'data: [DONE]') throw new Error('The stream has no end.')
  for (const event of events.slice(0, -1)) {
    const document = JSON.parse(event.slice('data: '.length)) as {
      choices?: { index: number; text?: string; delta?: { content?: string }; finish_reason: unknown }[]
    }
    if (document.choices === undefined) throw new Error(`An event of the stream is an error: ${event}`)
    for (const { index, text: added, delta, finish_reason: reason } of document.choices) {
      choices[index] ??= { text: '', reason: null }
      choices[index].text += added ?? delta?.content ?? ''
      choices[index].reason ??= reason
    }
  }
  return choices
}

/** Sends a request and reads the answer. @returns its status and what it says */
const ask = async (url: string, { path, body }: SoakRequest, signal?: AbortSignal): Promise<string> => {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  })
  const streams = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  const content = streams ? streamEssence(await response.text()) : essence(await response.json())
  return JSON.stringify([response.status, content])
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Live tensors without those of the caches, and without those that only the collector knows. */
const countTensors = async ({ service }: RunningServer): Promise<number> => {
  for (const { scheduler } of service.models.engines) scheduler?.free()
  for (let round = 0; round < 3; round++) {
    collectGarbage()
    await sleep(20)
  }
  return liveTensors()
}

/** Puts a version of the adapter in the place of the one before. */
const loadVersion = async (url: string, name: string, folder: string): Promise<void> => {
  const response = await fetch(`${url}/v1/load_lora_adapter`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lora_name: name, lora_path: folder }),
  })
  if (!response.ok) throw new Error(`The adapter was not loaded: ${await response.text()}`)
}

/** Requests that are repeated, with the answers that are right. */
interface Known {
  request: SoakRequest
  answers: Set<string>
}

/** The answers of requests one after the other; those of the swapped name with each of its versions. */
const askAlone = async (url: string, requests: readonly SoakRequest[], swapped: SoakModels['swapped']) => {
  const known = requests.map((request): Known => ({ request, answers: new Set() }))
  for (const folder of swapped.folders) {
    await loadVersion(url, swapped.name, folder)
    for (const { request, answers } of known)
      if (answers.size === 0 || request.body.model === swapped.name) answers.add(await ask(url, request))
  }
  return known
}

/**
 * Sends the requests of a crowd. The server needs the folder of the swapped adapters as its `adapterFolder`.
 * @throws Error if no answer came for `hangSeconds`, with what the server still has
 */
export const soak = async (
  server: RunningServer,
  { writers, swapped }: SoakModels,
  { requests, clients = 24, seed = 0, hangSeconds = 120, onProgress = () => undefined }: SoakSettings,
): Promise<SoakReport> => {
  const { url, service } = server
  const pool = createRandom(`requests ${seed}`)
  const models = [...writers, swapped.name]
  const known = await askAlone(
    url,
    Array.from({ length: Math.min(Math.ceil(requests / 6), 8 * kinds.length) }, (_, i) =>
      kinds[i % kinds.length](pool, models[(i + Math.floor(i / kinds.length)) % models.length]),
    ),
    swapped,
  )
  const before = await countTensors(server)
  const report: SoakReport = {
    ...{ requests, answered: 0, left: 0, refused: 0, faults: [], seconds: 0, tensors: [before, before] },
    memory: [process.memoryUsage.rss()],
  }
  const fault = (line: string) => report.faults.length < 20 && report.faults.push(line)
  const started = performance.now()
  let next = 0
  let done = 0
  let lastAnswer = started
  const open = new Map<number, SoakRequest>()
  const one = async (number: number): Promise<void> => {
    const random = createRandom(`client ${seed} ${number}`)
    if (number % 25 === 24) await loadVersion(url, swapped.name, pick(random, swapped.folders))
    const { request, answers } = pick(random, known)
    const leaves = random.integer(5) === 0
    const signal = leaves ? AbortSignal.timeout(1 + random.integer(60)) : undefined
    open.set(number, request)
    try {
      const answer = await ask(url, request, signal)
      if (!answers.has(answer))
        fault(`${JSON.stringify(request)} gave ${answer} instead of ${[...answers].join(' or ')}`)
      else if (answer.startsWith('[4')) report.refused++
      else report.answered++
    } catch (error) {
      if (signal?.aborted) report.left++
      else fault(`${JSON.stringify(request)} failed: ${String(error)}`)
    }
    open.delete(number)
    lastAnswer = performance.now()
    if (++done % Math.ceil(requests / 10) === 0) report.memory.push(process.memoryUsage.rss())
    onProgress(done)
  }
  const client = async (): Promise<void> => {
    while (next < requests) await one(next++)
  }
  const watch = new AbortController()
  const hang = async (): Promise<never> => {
    for (;;) {
      await sleep(1000, undefined, { signal: watch.signal })
      const silent = (performance.now() - lastAnswer) / 1000
      if (silent > hangSeconds)
        throw new Error(
          `No answer for ${Math.round(silent)} s after ${done} requests. Load: ${JSON.stringify(service.load)}, open: ${JSON.stringify([...open.values()])}.`,
        )
    }
  }
  try {
    await Promise.race([Promise.all(Array.from({ length: Math.min(clients, requests) }, client)), hang()])
  } finally {
    watch.abort()
  }
  report.seconds = (performance.now() - started) / 1000
  await service.idle()
  // The scheduler frees texts of clients that left in its next step.
  while (service.load.running + service.load.waiting + service.load.queued > 0) await sleep(10)
  report.tensors = [before, await countTensors(server)]
  report.memory.push(process.memoryUsage.rss())
  return report
}
