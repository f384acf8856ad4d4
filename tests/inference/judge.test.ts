// Judges with known habits behind a server of the test: what `judgeAnswers` makes of them, and of a server that fails.
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type JudgeInput, judgeAnswers } from '../../src/inference/index.ts'
import { lengthControlled } from '../../src/inference/judge/length-control.ts'

let folder: string
let server: Server | undefined
const count = 24
const lines = (rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** Answers of two sets: those of `mine` are right for even numbers, and longer for every third. */
const mine = (i: number) => (i % 2 === 0 ? `right ${i}` : `wrong ${i}`) + (i % 3 === 0 ? ' and much more text' : '')
const other = (i: number) => (i % 2 === 0 ? `wrong ${i}` : `right ${i}`)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tunesmith-judge-'))
  const numbers = Array.from({ length: count }, (_, i) => i)
  const write = (name: string, rows: object[]) => writeFileSync(join(folder, name), lines(rows))
  write(
    'questions.jsonl',
    numbers.map((i) => ({ id: String(i), instruction: `Question ${i}?`, output: `right ${i}` })),
  )
  write(
    'mine.jsonl',
    numbers.map((i) => ({ id: String(i), answer: mine(i) })),
  )
  write(
    'other.jsonl',
    numbers.map((i) => ({ id: String(i), answer: other(i) })),
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

interface Asked {
  question: string
  first: string
  second: string
  body: { model: string; temperature: number; messages: { role: string; content: string }[] }
  headers: IncomingMessage['headers']
}

type Reply = string | { status: number; retryAfter?: number }

/** A server whose model answers as `judge` does. */
const serve = async (judge: (asked: Asked, number: number) => Reply | Promise<Reply>) => {
  const asked: Asked[] = []
  server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as Asked['body']
      const text = body.messages.at(-1)?.content ?? ''
      const [, question = '', first = '', second = ''] =
        /Question:\n([\s\S]*?)\n\nAnswer A:\n([\s\S]*?)\n\nAnswer B:\n([\s\S]*?)\n\nWhich/.exec(text) ?? []
      const one = { question, first, second, body, headers: request.headers }
      asked.push(one)
      void Promise.resolve(judge(one, asked.length)).then((reply) => {
        if (typeof reply === 'string') {
          response.setHeader('content-type', 'application/json')
          const choices = [{ index: 0, message: { role: 'assistant', content: reply } }]
          response.end(JSON.stringify({ choices, usage: { prompt_tokens: 100, completion_tokens: 5 } }))
        } else {
          if (reply.retryAfter !== undefined) response.setHeader('retry-after', String(reply.retryAfter))
          response.statusCode = reply.status
          response.end('{"error":{"message":"not now"}}')
        }
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked }
}

const input = (endpoint: string, more: Partial<JudgeInput> = {}): JudgeInput => ({
  task: 'instructions',
  references: join(folder, 'questions.jsonl'),
  predictions: join(folder, 'mine.jsonl'),
  against: join(folder, 'other.jsonl'),
  endpoint,
  model: 'test-judge',
  ...more,
})

const fair = ({ first }: Asked) => `The right one is clear. ${first.startsWith('right') ? '[[A]]' : '[[B]]'}`

describe('a judge', () => {
  it('that is fair gives the share of right answers, in both orders', async () => {
    const { endpoint, asked } = await serve(fair)
    const found = await judgeAnswers(input(endpoint, { token: 'secret' }))
    expect(asked).toHaveLength(2 * count)
    expect(asked[0].body).toMatchObject({ model: 'test-judge', temperature: 0 })
    expect(asked[0].headers.authorization).toBe('Bearer secret')
    expect(asked[0].question).toMatch(/^Question \d+\?$/)
    expect(found).toMatchObject({ questions: count, wins: count / 2, losses: count / 2, ties: 0, requests: 2 * count })
    expect(found.winRate.value).toBe(0.5)
    expect(found.winRate.low).toBeLessThan(0.5)
    expect(found.consistent.value).toBe(1)
    expect(found.forFirst.value).toBe(0.5)
    expect(found.tokens).toEqual({ prompt: 200 * count, completion: 10 * count })
    expect(found.withoutVerdict).toEqual({ count: 0 })
  })

  it('that always prefers the first place decides nothing, and is seen', async () => {
    const { endpoint } = await serve(() => '[[A]]')
    const found = await judgeAnswers(input(endpoint))
    expect(found).toMatchObject({ wins: 0, losses: 0, ties: count })
    expect(found.winRate.value).toBe(0.5)
    expect(found.consistent.value).toBe(0)
    expect(found.forFirst.value).toBe(1)
  })

  it('that prefers longer answers loses that preference by the control of length', async () => {
    const { endpoint } = await serve(({ first, second }) =>
      first.length === second.length ? '[[tie]]' : first.length > second.length ? '[[A]]' : '[[B]]',
    )
    const found = await judgeAnswers(input(endpoint))
    expect(found.wins).toBe(count / 3)
    expect(found.losses).toBe(0)
    expect(found.winRate.value).toBeCloseTo(2 / 3, 10)
    expect(Math.abs(found.lengthControlled.value - 0.5)).toBeLessThan(0.03)
    expect(found.characters.predictions).toBeGreaterThan(found.characters.against)
  })

  it('is not asked about equal answers, and compares with the references by default', async () => {
    const { endpoint, asked } = await serve(fair)
    const found = await judgeAnswers(input(endpoint, { against: undefined, predictions: join(folder, 'other.jsonl') }))
    expect(found.identical).toBe(count / 2)
    expect(asked).toHaveLength(count)
    expect(found).toMatchObject({ wins: 0, losses: count / 2, ties: count / 2 })
    expect(found.winRate.value).toBe(0.25)
  })

  it('without a verdict leaves a question out, by name', async () => {
    const { endpoint } = await serve((asked) => (asked.question === 'Question 3?' ? 'Both have merit.' : fair(asked)))
    const found = await judgeAnswers(input(endpoint))
    expect(found.withoutVerdict).toEqual({ count: 1, first: '3' })
    expect(found.wins + found.losses + found.ties).toBe(count - 1)
    await expect(judgeAnswers(input((await serve(() => 'Hm.')).endpoint))).rejects.toThrow(/verdict such as \[\[A\]\]/)
  })

  it('sees the reference and a prompt of the user', async () => {
    const { endpoint, asked } = await serve(() => '[[B]] no, [[tie]]')
    const prompt = '{{ question }} | {{ first }} | {{ second }} | {{ reference }}'
    const found = await judgeAnswers(input(endpoint, { prompt, showReference: true, limit: 1, concurrency: 1 }))
    expect(asked[0].body.messages[1].content).toBe(`Question 0? | ${mine(0)} | ${other(0)} | right 0`)
    expect(found.ties).toBe(1)
    await expect(judgeAnswers(input(endpoint, { prompt: '{{ question }}' }))).rejects.toThrow('{{ first }}')
    await expect(judgeAnswers(input(endpoint, { prompt: '{% if %}' }))).rejects.toThrow(/template/)
    await expect(judgeAnswers(input(endpoint, { against: undefined, showReference: true }))).rejects.toThrow('against')
  })
})

describe('a file of judgements', () => {
  it('saves every answer, so that a stopped call goes on where it was', async () => {
    const out = join(folder, 'judged.jsonl')
    const stop = new AbortController()
    const { endpoint, asked } = await serve(fair)
    const stopped = judgeAnswers(input(endpoint, { out, concurrency: 2 }), {
      signal: stop.signal,
      onProgress: ({ requests }) => requests === 10 && stop.abort(new Error('stopped by the test')),
    })
    await expect(stopped).rejects.toThrow('stopped by the test')
    const saved = readFileSync(out, 'utf8').split('\n').length - 1
    expect(saved).toBeGreaterThanOrEqual(10)
    expect(readFileSync(out, 'utf8')).not.toContain('secret')
    // What a killed process leaves.
    appendFileSync(out, '{"key":"ab')
    const before = asked.length
    const found = await judgeAnswers(input(endpoint, { out }))
    expect(asked.length - before).toBe(2 * count - saved)
    expect(found.winRate.value).toBe(0.5)
    const again = await judgeAnswers(input(endpoint, { out }))
    expect(again.requests).toBe(0)
    expect({ ...again, requests: found.requests }).toEqual(found)
    expect((await judgeAnswers(input(endpoint, { out, model: 'another' }))).requests).toBe(2 * count)
  })

  it('of something else is refused and stays as it is', async () => {
    const out = join(folder, 'notes.txt')
    writeFileSync(out, 'my notes\nof today\n')
    await expect(judgeAnswers(input('http://127.0.0.1:9/v1', { out }))).rejects.toThrow(/line that `judge` wrote/)
    expect(readFileSync(out, 'utf8')).toBe('my notes\nof today\n')
  })
})

describe('a server', () => {
  it('that is busy is asked again', async () => {
    const { endpoint, asked } = await serve((one, number) =>
      number <= 3 ? { status: 429, retryAfter: 0.05 } : fair(one),
    )
    const found = await judgeAnswers(input(endpoint, { limit: 2, concurrency: 1 }))
    expect(asked).toHaveLength(4 + 3)
    expect(found.wins + found.losses).toBe(2)
  })

  it('that refuses is an error with its words, at once', async () => {
    const { endpoint, asked } = await serve(() => ({ status: 401 }))
    await expect(judgeAnswers(input(endpoint, { concurrency: 1 }))).rejects.toThrow(/status 401.*not now/)
    expect(asked).toHaveLength(1)
  })

  it('that hangs or is not there is an error after the limits', async () => {
    const { endpoint } = await serve(() => new Promise<Reply>(() => {}))
    await expect(judgeAnswers(input(endpoint, { timeoutSeconds: 0.2, attempts: 1 }))).rejects.toThrow(
      'no answer within 0.2 s',
    )
    await expect(judgeAnswers(input('http://127.0.0.1:54321/v1', { attempts: 1 }))).rejects.toThrow(
      /no answer: .*127.0.0.1:54321/,
    )
  })

  it('cannot judge labels', async () => {
    await expect(judgeAnswers(input('http://127.0.0.1:9/v1', { task: 'sequence-classification' }))).rejects.toThrow(
      /written answers|answers are text/,
    )
  })
})

describe('the control of length', () => {
  it('gives the win rate where lengths are equal, and takes away what a longer answer gains', () => {
    const equal = Array.from({ length: 40 }, (_, i) => ({ preference: i % 4 === 0 ? 0 : 1, longerBy: 0 }))
    expect(lengthControlled(equal).value).toBeCloseTo(0.75, 3)
    const { value, low, high } = lengthControlled(equal, { seed: 1, resamples: 200 })
    expect(low).toBeLessThan(value)
    expect(high).toBeGreaterThan(value)
    // Drawn from the model itself: log odds of 0.6, and 1.5 for the scaled length.
    let state = 1
    const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647
    const drawn = Array.from({ length: 20_000 }, () => {
      const scaled = 2 * uniform() - 0.4
      const odds = 0.6 + 1.5 * Math.tanh(scaled / (2 / Math.sqrt(12)))
      return { preference: uniform() < 1 / (1 + Math.exp(-odds)) ? 1 : 0, longerBy: scaled }
    })
    const share = drawn.reduce((sum, { preference }) => sum + preference, 0) / drawn.length
    const controlled = lengthControlled(drawn, { resamples: 20 }).value
    expect(Math.abs(controlled - 1 / (1 + Math.exp(-0.6)))).toBeLessThan(0.02)
    expect(share - controlled).toBeGreaterThan(0.08)
  })
})
