// Rewards from a server on this machine that behaves well, and in every bad way.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openRewards, type RewardSettings, scoreSamples } from '../../../src/alignment/index.ts'
import { bertJson } from '../../../src/tokenizers/legacy-files.ts'
import { Tokenizer } from '../../../src/tokenizers/tokenizer.ts'
import { sample } from './samples.ts'

interface Sent {
  samples: { id: string; prompt: unknown; completion: string; reference?: string; fields: unknown }[]
}

const tokenizer = new Tokenizer(bertJson(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'].join('\n')))
let answer: (sent: Sent, response: ServerResponse, request: IncomingMessage) => void
let requests: Sent[] = []
const server = createServer(async (request, response) => {
  let text = ''
  for await (const piece of request) text += String(piece)
  const sent = JSON.parse(text) as Sent
  requests.push(sent)
  answer(sent, response, request)
})
let url = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/rewards`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const lengths = ({ samples }: Sent) => samples.map(({ completion }) => completion.length)
const samples = ['a', 'bb', 'ccc'].map((text) => sample(text, { reference: '42' }))
const score = async (behaviour: typeof answer, settings: Partial<RewardSettings> = {}) => {
  answer = behaviour
  requests = []
  const functions = await openRewards([{ type: 'http', url, ...settings } as RewardSettings], { tokenizer })
  const { scores, functions: statistics } = await scoreSamples(functions, samples)
  return { rewards: scores.map(({ reward }) => reward), statistics: statistics[0] }
}
const json = (value: unknown) => (_: Sent, response: ServerResponse) => void response.end(JSON.stringify(value))

describe('rewards from a server', () => {
  it('are posted as JSON, in parts, and come back as a list or an object', async () => {
    const { rewards } = await score((sent, response) => void response.end(JSON.stringify(lengths(sent))))
    expect(rewards).toEqual([1, 2, 3])
    expect(requests).toHaveLength(1)
    const { prompt, record } = samples[0]
    expect(requests[0].samples[0]).toEqual({
      id: '0',
      prompt,
      completion: 'a',
      reference: '42',
      fields: record.fields,
      finishReason: 'eos',
    })
    const parts = await score(
      (sent, response) => void response.end(JSON.stringify({ rewards: lengths(sent), model: 'other fields' })),
      { samplesPerCall: 2 },
    )
    expect(parts.rewards).toEqual([1, 2, 3])
    expect(requests.map((sent) => sent.samples.length).sort()).toEqual([1, 2])
    expect((await score(json([0.5, null, 1]))).rewards).toEqual([0.5, null, 1])
  })

  it('carry headers, with secrets from the environment', async () => {
    process.env.TEST_REWARD_TOKEN = 'secret'
    let seen: string | undefined
    const check: typeof answer = (sent, response, { headers }) => {
      seen = headers.authorization
      response.end(JSON.stringify(lengths(sent)))
    }
    await score(check, { headers: { authorization: 'Bearer $TEST_REWARD_TOKEN' } })
    expect(seen).toBe('Bearer secret')
    delete process.env.TEST_REWARD_TOKEN
    await expect(score(check, { headers: { authorization: '$TEST_REWARD_TOKEN' } })).rejects.toThrow(
      /needs the environment variable TEST_REWARD_TOKEN/,
    )
  })

  it('are asked for again when the server is busy, and not when the request is wrong', async () => {
    let calls = 0
    const { rewards, statistics } = await score((sent, response) => {
      if (++calls < 3) response.writeHead(503).end('busy')
      else response.end(JSON.stringify(lengths(sent)))
    })
    expect(rewards).toEqual([1, 2, 3])
    expect(statistics.calls).toBe(3)
    await expect(score((_, response) => void response.writeHead(404, 'Not Found').end('no such page'))).rejects.toThrow(
      /got status 404 Not Found: "no such page"/,
    )
    expect(requests).toHaveLength(1)
  })

  it.each<[string, typeof answer, RegExp]>([
    ['is not JSON', (_, response) => void response.end('<html>'), /Expected a list of numbers.* got "<html>"/],
    ['has no list', json({ scores: [1] }), /got \{"scores":\[1\]\}/],
    ['has too few', json([1]), /Expected 3 rewards from `http`, one for each answer, got 1/],
    ['has other values', json(['1', 2, 3]), /finite number or null .*got "1"/],
    ['ends early', (_, response) => void response.socket?.destroy(), /got no answer: /],
    ['never comes', () => {}, /within 0.2 s/],
    [
      'stops in the middle',
      (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('[1,'),
      /within 0.2 s/,
    ],
  ])('fail with a sentence where the answer %s', async (_, behaviour, message) => {
    await expect(score(behaviour, { attempts: 1, timeoutSeconds: 0.2 })).rejects.toThrow(message)
    const { rewards, statistics } = await score(behaviour, { attempts: 1, timeoutSeconds: 0.2, onFailure: 'null' })
    expect(rewards[0]).toBeNull()
    expect(statistics.failed).toBeGreaterThan(0)
  })

  it('fail with a sentence where nothing listens, and refuse other addresses', async () => {
    const gone = createServer()
    await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve))
    const address = gone.address()
    const closed = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    await new Promise((resolve) => gone.close(resolve))
    await expect(score(json([]), { url: closed, attempts: 1 } as never)).rejects.toThrow(
      /got no answer: .*ECONNREFUSED/,
    )
    await expect(score(json([]), { url: 'file:///etc/passwd' } as never)).rejects.toThrow(/`rewards\[0\].url`/)
  })
})
