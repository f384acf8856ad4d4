// Episodes of several turns. What the tokens must be follows from the chat templates: an episode decodes to the beginning of the conversation
// as the template writes it whole. The model is a script.
import { describe, expect, it } from 'vitest'
import {
  calculate,
  calculatorTool,
  createEnvironment,
  type Environment,
  type EpisodeOptions,
  type GeneratedTurn,
  measureEpisodes,
  parseToolCalls,
  runEpisode,
  scoreSamples,
  type Tool,
  toolEnvironment,
} from '../../src/alignment/index.ts'
import { createCompletionEncoder, type PromptRecord, type Turn } from '../../src/tasks/index.ts'
import { encodeContinuation, encodeNextTurns, renderChat, type Tokenizer } from '../../src/tokenizers/index.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'
import { rewardFunction, sample } from './rewards/samples.ts'

const record: PromptRecord = { id: '0', file: 'test', line: 1, prompt: 'How many?', fields: {} }
const endOf = { chatml: '<|im_end|>', llama3: '<|eot_id|>', plain: '</s>' } as const
type Template = keyof typeof endOf

/** A model that writes these texts, each with the end token of the template; and what it was given. */
const script = (tokenizer: Tokenizer, template: Template, texts: readonly (string | GeneratedTurn)[]) => {
  const given: number[][] = []
  const generate: EpisodeOptions['generate'] = (ids, { turn }) => {
    given.push([...ids])
    const text = texts[turn % texts.length]
    if (typeof text !== 'string') return Promise.resolve(text)
    const own = [...encodeContinuation(tokenizer, text), tokenizer.tokenToId(endOf[template])!]
    return Promise.resolve({ ids: own, logProbs: own.map((id) => -id), finishReason: 'eos' })
  }
  return { given, generate }
}

const episodeOf = (
  environment: Environment,
  texts: readonly (string | GeneratedTurn)[],
  {
    template = 'chatml' as Template,
    tokenizer = chatTokenizer(),
    ...more
  }: Partial<EpisodeOptions> & { template?: Template } = {},
) => {
  const { given, generate } = script(tokenizer, template, texts)
  const encoder = createCompletionEncoder(tokenizer, { template, maxLength: 4096, tooLong: 'truncate' })
  const run = runEpisode(environment, record, {
    tokenizer,
    encoder,
    generate,
    maxNewTokens: 100,
    maxTurns: 8,
    timeoutSeconds: 60,
    onFailure: 'stop',
    ...more,
  })
  return { given, tokenizer, run: run.then((episode) => episode!) }
}

/** Asks again until the third turn of the model, and pays 1 for each. */
const patient: Environment = {
  name: 'patient',
  step: (messages) => {
    const turns = messages.filter(({ role }) => role === 'assistant').length
    return turns === 3
      ? { messages: [], reward: 1, done: true }
      : { messages: [{ role: 'user', content: `No, hi ${turns}.` }], reward: 1, done: false }
  },
}
const texts = ['One ho.', ' Two', 'Three! ']

describe('the tokens of an episode', () => {
  it.each(Object.keys(endOf) as Template[])(
    'are those of the whole conversation in its template: %s',
    async (template) => {
      const { run, given, tokenizer } = episodeOf(patient, texts, { template })
      const { prompt: _, promptIds, ids, mask, logProbs, messages, ...rest } = await run
      const conversation: Turn[] = [
        { role: 'user', content: 'How many?' },
        { role: 'assistant', content: texts[0] },
        { role: 'user', content: 'No, hi 1.' },
        { role: 'assistant', content: texts[1] },
        { role: 'user', content: 'No, hi 2.' },
        { role: 'assistant', content: texts[2] },
      ]
      const variables = { bos_token: '<s>', eos_token: '</s>' }
      const all = tokenizer.decode([...promptIds, ...ids], { skipSpecialTokens: false })
      const whole = renderChat(
        conversation.map((turn) => ({ ...turn })),
        { template, variables },
      )
      // Templates differ in white space around answers, which the model's own tokens keep.
      const squeezed = (text: string) => text.replace(/\s+/g, '')
      expect(squeezed(whole).startsWith(squeezed(all))).toBe(true)
      if (template === 'chatml') expect(whole.startsWith(all)).toBe(true)
      expect(messages).toEqual(conversation.slice(1))
      // Each mask of 1 is a turn as the model wrote it, with its end token.
      const turns: number[][] = []
      mask.forEach((bit, i) => {
        if (bit === 1 && mask[i - 1] !== 1) turns.push([])
        if (bit === 1) turns.at(-1)?.push(ids[i])
      })
      const end = tokenizer.tokenToId(endOf[template])
      expect(turns).toEqual(texts.map((text) => [...encodeContinuation(tokenizer, text), end]))
      expect([...logProbs!]).toEqual([...ids].map((id, i) => (mask[i] === 1 ? -id : 0)).map((value) => value + 0))
      expect(rest).toEqual({ completion: texts[2], reward: 3, turns: 3, end: 'done', finishReason: 'eos' })
      // The second turn continues the first one's tokens.
      expect(given[1].slice(0, promptIds.length + turns[0].length)).toEqual([...promptIds, ...turns[0]])
      expect(given[2]).toEqual([...promptIds, ...ids].slice(0, given[2].length))
    },
  )

  it('are never encoded again, whatever tokens the model chose for a text', async () => {
    const tokenizer = chatTokenizer()
    const [h, o] = ['h', 'o'].map((letter) => tokenizer.tokenToId(letter)!)
    const end = tokenizer.tokenToId('<|im_end|>')!
    expect(encodeContinuation(tokenizer, 'ho')).toHaveLength(1)
    const odd: GeneratedTurn = { ids: [h, o, end], finishReason: 'eos' }
    const { run, given } = episodeOf(patient, [odd, 'ho'], { tokenizer })
    const { promptIds, ids, logProbs } = await run
    expect([...ids.subarray(0, 3)]).toEqual([h, o, end])
    expect(given[1].slice(promptIds.length, promptIds.length + 3)).toEqual([h, o, end])
    expect(logProbs).toBeUndefined()
  })

  it('have the end of a turn that stopped without its end token, not as a token of the model', async () => {
    const tokenizer = chatTokenizer()
    const end = tokenizer.tokenToId('<|im_end|>')!
    const ids = encodeContinuation(tokenizer, 'ho')
    const { run } = episodeOf(patient, [{ ids, finishReason: 'stop' }, 'b'], { tokenizer })
    const episode = await run
    expect([...episode.ids.subarray(0, 3)]).toEqual([ids[0], end, encodeContinuation(tokenizer, '\n')[0]])
    expect([...episode.mask.subarray(0, 3)]).toEqual([1, 0, 0])
    expect(episode.messages[0].content).toBe('ho')
  })

  it('have no special tokens from texts of the environment or of the model', async () => {
    const tricky: Environment = {
      name: 'tricky',
      step: (messages) => ({ messages: [{ role: 'user', content: '<|im_end|>' }], done: messages.length > 2 }),
    }
    const tokenizer = chatTokenizer()
    const end = tokenizer.tokenToId('<|im_end|>')!
    // The model spells a special token with its letters.
    const spelled = tokenizer.encode('<|im_start|>', { addSpecialTokens: false, literal: [[0, 12]] }).ids
    const { run } = episodeOf(tricky, [{ ids: [...spelled, end], finishReason: 'eos' }, 'b'], { tokenizer })
    const { ids, mask, messages } = await run
    expect(messages[0].content).toBe('<|im_start|>')
    expect([...ids.subarray(0, spelled.length)]).toEqual(spelled)
    // The model's two end tokens and the template's end of the turn of the user, but none from its text.
    expect([...ids].filter((id) => id === end)).toHaveLength(3)
    expect([...ids].filter((id, i) => id === end && mask[i] === 0)).toHaveLength(1)
  })
})

describe('the turns between two answers', () => {
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'b' },
    { role: 'user', content: 'c' },
    { role: 'assistant', content: 'd' },
    { role: 'tool', content: 'e' },
  ]
  const tokenizer = chatTokenizer()
  const next = (template: string, after: number, ended: boolean) =>
    tokenizer.decode(encodeNextTurns(tokenizer, messages, { template, after, ended }), { skipSpecialTokens: false })
  const tags = `{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`

  it.each(['chatml', tags])('begin after the end token of the answer, or with it: %#', (template) => {
    const last = '\n<|im_start|>tool\ne<|im_end|>\n<|im_start|>assistant\n'
    expect(next(template, 3, true)).toBe(last)
    expect(next(template, 3, false)).toBe(`<|im_end|>${last}`)
  })

  it('follow an answer, or are refused', () => {
    expect(() => next('chatml', 2, true)).toThrow(/Expected an answer before the next turns/)
  })
})

describe('episodes that do not end well', () => {
  const endless: Environment = {
    name: 'endless',
    step: () => ({ messages: [{ role: 'user', content: 'More.' }], reward: 0.5, done: false }),
  }

  it('are cut at the maximum of turns or tokens, and counted', async () => {
    const byTurns = await episodeOf(endless, ['a'], { maxTurns: 4 }).run
    expect(byTurns).toMatchObject({ turns: 4, end: 'turns', finishReason: 'length', reward: 2, completion: 'a' })
    expect(byTurns.mask.at(-1)).toBe(1)
    const byTokens = await episodeOf(endless, ['a'], { maxTokens: 80 }).run
    expect(byTokens).toMatchObject({ end: 'tokens', finishReason: 'length' })
    expect(byTokens.ids.length).toBeLessThanOrEqual(80)
    expect(byTokens.mask.at(-1)).toBe(1)
    expect(byTokens.messages.at(-1)?.role).toBe('assistant')
    const done = await episodeOf(patient, texts).run
    expect(measureEpisodes([byTurns, byTokens, done, done])).toMatchObject({
      episodesDone: 0.5,
      episodesCut: 0.5,
      episodesFailed: 0,
      turns: (4 + byTokens.turns + 3 + 3) / 4,
    })
  })

  it('end with a turn of the model that was truncated, without asking the environment', async () => {
    let asked = 0
    const counting: Environment = { name: 'counting', step: () => ({ messages: [], done: ++asked > 0 }) }
    const { run } = episodeOf(counting, [{ ids: [40, 41], finishReason: 'length' }])
    expect(await run).toMatchObject({ end: 'truncated', finishReason: 'length', turns: 1, reward: null })
    expect(asked).toBe(0)
  })

  it.each<[string, Environment['step'], RegExp]>([
    [
      'throws',
      () => {
        throw new RangeError('no board')
      },
      /`bad` threw RangeError: no board/,
    ],
    ['rejects', () => Promise.reject(new Error('no')), /`bad` threw Error: no/],
    ['waits for ever', () => new Promise(() => {}), /`bad` within 0.05 s/],
    [
      'blocks the thread',
      () => {
        for (;;);
      },
      /`bad` within 0.05 s/,
    ],
    ['gives NaN', () => ({ messages: [], reward: Number.NaN, done: true }), /finite number for `reward`.* got NaN/],
    ['gives no end', () => ({ messages: [] }) as never, /true or false for `done`/],
    ['gives nothing', () => undefined as never, /an object .*got nothing/],
    ['gives nothing to answer', () => ({ messages: [], done: false }), /turns that the model can answer/],
    [
      'speaks for the model',
      () => ({ messages: [{ role: 'assistant', content: 'I won.' }], done: false }),
      /role user or tool/,
    ],
  ])('by an environment that %s: an error, or a counted failure', async (_, step, message) => {
    const bad: Environment = { name: 'bad', step }
    // Only what never ends needs a short limit: a busy machine may take long for anything else.
    const limits = { timeoutSeconds: /within/.test(message.source) ? 0.05 : 60 }
    await expect(episodeOf(bad, ['a'], limits).run).rejects.toThrow(message)
    const episode = await episodeOf(bad, ['a'], { ...limits, onFailure: 'null' }).run
    expect(episode).toMatchObject({ end: 'failed', reward: null, finishReason: 'length' })
    expect(episode.failure).toMatch(message)
    expect(measureEpisodes([episode]).episodesFailed).toBe(1)
  })

  it('have no reward at all, since a sum without a part would be wrong', async () => {
    const { scores } = await scoreSamples(
      [rewardFunction((some) => some.map(() => 1))],
      [sample('a', { episode: { messages: [], reward: null, failed: true } }), sample('a')],
    )
    expect(scores.map(({ reward }) => reward)).toEqual([null, 1])
  })

  it('stop with the run', async () => {
    const controller = new AbortController()
    const { run } = episodeOf({ name: 'slow', step: () => new Promise(() => {}) }, ['a'], { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('stopped')), 5)
    await expect(run).rejects.toThrow('stopped')
  })
})

describe('an environment', () => {
  it('may begin the conversation, and keeps a state for each episode', async () => {
    const guess: Environment<{ secret: number; tries: number }> = {
      name: 'guess',
      start: ({ id }) => ({
        messages: [{ role: 'user', content: 'Guess.' }],
        state: { secret: Number(id), tries: 0 },
      }),
      step: (messages, { state }) => {
        state!.tries++
        const right = messages.at(-1)?.content === String(state!.secret)
        return {
          messages: [{ role: 'user', content: 'No.' }],
          done: right,
          ...(right ? { reward: 1 / state!.tries } : {}),
        }
      },
    }
    const episodes = await Promise.all([
      episodeOf(guess as Environment, ['1', '0']).run,
      episodeOf(guess as Environment, ['0']).run,
    ])
    expect(episodes.map(({ reward }) => reward)).toEqual([0.5, 1])
    expect(chatTokenizer().decode(episodes[0].promptIds)).toContain('Guess.')
  })

  it('is named in recipes', () => {
    expect(createEnvironment('calculator').name).toBe('calculator')
    expect(createEnvironment(patient)).toBe(patient)
    expect(() => createEnvironment('calculater')).toThrow(/Expected one of calculator.*calculator/)
    expect(() => createEnvironment({ type: 'calculator', role: 'nobody' } as never)).toThrow(/environment.role/)
  })
})

describe('tools', () => {
  const call = (expression: string) =>
    `<tool_call>\n{"name": "calculator", "arguments": {"expression": "${expression}"}}\n</tool_call>`

  it('are called in the forms of chat templates', () => {
    const wanted = [{ name: 'add', arguments: { a: 1 } }]
    const body = '{"name": "add", "arguments": {"a": 1}}'
    for (const text of [
      `Let me see.\n<tool_call>${body}</tool_call>`,
      `<tool_call>\n${body}`,
      `[TOOL_CALLS] [${body}]`,
      '{"name": "add", "parameters": {"a": 1}}',
      '{"name": "add", "arguments": "{\\"a\\": 1}"}',
    ])
      expect(parseToolCalls(text), text).toEqual({ calls: wanted, faults: [] })
    expect(parseToolCalls(`<tool_call>${body}</tool_call><tool_call>${body}</tool_call>`).calls).toHaveLength(2)
    for (const text of ['It is 3.', '{"a": 1}', '[1, 2]', ''])
      expect(parseToolCalls(text), text).toEqual({ calls: [], faults: [] })
    for (const text of ['<tool_call>add(1)</tool_call>', '[TOOL_CALLS] add', '<tool_call>{"name": 1}</tool_call>']) {
      const { calls, faults } = parseToolCalls(text)
      expect(calls).toEqual([])
      expect(faults, text).toHaveLength(1)
    }
  })

  it('answer in turns, until the model answers without a call', async () => {
    const { run, given, tokenizer } = episodeOf(createEnvironment('calculator'), [call('6 * 7'), '#### 42'])
    const episode = await run
    expect(episode.messages.slice(1)).toEqual([
      { role: 'tool', content: '42' },
      { role: 'assistant', content: '#### 42' },
    ])
    expect(episode).toMatchObject({ end: 'done', turns: 2, completion: '#### 42', reward: null })
    const second = tokenizer.decode(given[1], { skipSpecialTokens: false })
    expect(second).toMatch(/^<\|im_start\|>system\nYou can call these tools:\n\{"name":"calculator"/)
    expect(second).toMatch(/<\/tool_call><\|im_end\|>\n<\|im_start\|>tool\n42<\|im_end\|>\n<\|im_start\|>assistant\n$/)
  })

  it('tell the model what was wrong with its call', async () => {
    const broken: Tool = { ...calculatorTool, name: 'broken', run: () => Promise.reject(new Error('out of order')) }
    const long: Tool = { ...calculatorTool, name: 'long', run: () => 'x'.repeat(99) }
    const environment = toolEnvironment('tools', [calculatorTool, broken, long], {
      role: 'user',
      describe: false,
      maxResult: 9,
    })
    const answers = async (text: string) => {
      const { messages } = await episodeOf(environment, [text, 'done']).run
      return messages.filter(({ role }) => role === 'user').map(({ content }) => content)
    }
    expect(await answers(call('1 / 0'))).toEqual(['Error: division by zero'])
    expect(await answers(call('process.exit()'))).toEqual([expect.stringMatching(/^Error: expected an arithmetic/)])
    expect(await answers('<tool_call>{"name": "calculator"}</tool_call>')).toEqual([expect.stringMatching(/missing/)])
    expect(await answers('<tool_call>{"name": "sqrt"}</tool_call>')).toEqual([
      'Error: no tool sqrt. The tools are calculator, broken, long.',
    ])
    expect(await answers('<tool_call>{"name": "broken"}</tool_call>')).toEqual(['Error: out of order'])
    expect(await answers('<tool_call>{"name": "long"}</tool_call>')).toEqual(['xxxxxxxxx…'])
    expect(await answers('<tool_call>sqrt(2)</tool_call>')).toEqual([
      expect.stringMatching(/^Error: Expected \{"name"/),
    ])
  })

  it('compute arithmetic, and nothing else', () => {
    for (const [text, value] of [
      ['1 + 2 * 3', 7],
      ['(1 + 2) * 3', 9],
      ['2 ^ 3 ^ 2', 512],
      ['-2 ** 2', -4],
      ['2 ** -1', 0.5],
      ['7 % 4 - -1', 4],
      ['10 / 4 / 5', 0.5],
      ['1,234.5 × 2 ÷ 1_0', 246.9],
      ['0.1 + 0.2', 0.3],
      ['.5e1', 5],
      ['--3', 3],
    ] as const)
      expect(calculate(text), text).toBe(value)
    for (const text of [
      '',
      '1 +',
      '(1',
      '1)',
      'x',
      '1 2x',
      '2 ** ** 2',
      '"1"',
      '1e999',
      '9 ^ 9 ^ 9',
      '('.repeat(60),
      '-'.repeat(60),
    ])
      expect(() => calculate(text), text).toThrow()
    expect(() => calculate('1+'.repeat(600))).toThrow(/1000 characters/)
  })
})
