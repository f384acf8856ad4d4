// `chat` and `generate` with adapters, on tiny models with fresh weights: lines in, lines out, a keyboard, and a conversation that outgrows
// its model.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { parseCommandLine } from '../../src/cli/command-line.ts'
import { chat, runChat } from '../../src/cli/commands/chat.ts'
import { openChatInput } from '../../src/cli/parts/chat-input.ts'
import { generate } from '../../src/generation/index.ts'
import { open } from '../../src/inference/index.ts'
import { buildModel, type Model, models } from '../../src/models/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { applyChatTemplate, type Tokenizer } from '../../src/tokenizers/index.ts'
import { makeTextFolder, runHere, type TextFolder } from './run-folder.ts'

let words: TextFolder
let tokenizer: Tokenizer
let model: Model
const at = (name: string) => join(words.path, name)

const build = (type: 'llama' | 'bert' | 'gpt2', head: 'causal-lm' | 'masked-lm') => {
  const definition = models[type] as never as (typeof models)['llama']
  const config = definition.config.parse({
    ...definition.presets.test,
    vocabSize: tokenizer.vocabSize,
    maxPositions: 96,
  })
  return buildModel(definition as never, config, head).initialize({ std: 0.3, generator: new Generator(8) })
}

beforeAll(async () => {
  words = await makeTextFolder('bpe', 300)
  tokenizer = await loadTokenizer(words.tokenizer)
  model = build('llama', 'causal-lm')
  await saveModel(model, at('base'), { tokenizer: words.tokenizer })
  await saveModel(build('bert', 'masked-lm'), at('bert'), { tokenizer: words.tokenizer })
  for (const [name, shift] of [
    ['loud', 0.5],
    ['calm', -0.5],
  ] as const) {
    const base = build('llama', 'causal-lm')
    const applied = applyAdapter(base, { type: 'lora', rank: 2, targets: ['qProj', 'vProj'] })
    noGrad(() => {
      for (const tensor of applied.trainable.values()) tensor.copy_(tensor.add(shift))
    })
    await saveAdapter(applied, at(name), { base: at('base') })
  }
})
afterAll(() => words.remove())

interface Said {
  out: string
  err: string
  result: Awaited<ReturnType<typeof runChat>>
}

/** A whole chat with these lines from a pipe. */
const talk = (lines: readonly string[], ...flags: string[]): Promise<Said> =>
  talkFreely(lines, '--max-new-tokens', '6', ...flags)

/** As `talk`, with replies of any length. */
const talkFreely = async (lines: readonly string[], ...flags: string[]): Promise<Said> => {
  const argv = ['--model', at('base'), '--template', 'plain', ...flags]
  const line = await parseCommandLine(chat, argv)
  if (line.kind !== 'run') throw new Error('help')
  const [said, source] = [{ out: '', err: '' }, new PassThrough()]
  source.end(`${lines.join('\n')}\n`)
  const { signal } = new AbortController()
  const add = (where: 'out' | 'err') => (text: string) => void (said[where] += text)
  const result = await runChat(
    line.options as never,
    {
      json: line.json,
      signal,
      withFlags: String,
      progress: () => ({ update() {}, stop() {} }) as never,
      log: (text) => add('err')(`${text}\n`),
      warn: (text) => add('err')(`warning: ${text}\n`),
      write: add(line.json ? 'err' : 'out'),
      emit: (value) => add('out')(`${JSON.stringify(value)}\n`),
    },
    openChatInput(source, process.stdout, signal),
  )
  return { ...said, result }
}

const answerTo = async (messages: { role: string; content: string }[], to = model): Promise<string> => {
  const { ids } = applyChatTemplate(tokenizer, messages, { template: 'plain', addGenerationPrompt: true })
  const [{ text = '' }] = await generate(to, tokenizer, [ids], { maxNewTokens: 6 })
  return text.trim()
}
const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const linesOf = ({ out }: Said) =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('chat', () => {
  it('remembers what was said, and does what lines with a slash say', async () => {
    const first = await answerTo([user('the cat')])
    const second = await answerTo([user('the cat'), assistant(first), user('a dog')])
    const told = await answerTo([{ role: 'system', content: 'the moon' }, user('a dog')])
    const file = at('talk.jsonl')
    const said = await talk(
      [
        JSON.stringify(user('the cat')),
        JSON.stringify(user('a dog')),
        '{"command": "/retry"}',
        '{"command": "reset"}',
        '{"role": "system", "content": "the moon"}',
        JSON.stringify(user('a dog')),
        `{"command": "save ${file}"}`,
        '{"command": "system -"}',
        '{"command": "reset"}',
        '{"role": "user", "content": "the cat"}',
        JSON.stringify(assistant(first)),
        JSON.stringify(user('a dog')),
      ],
      '--json',
    )
    const answers = linesOf(said).filter(({ role }) => role === 'assistant')
    expect(answers.map(({ content }) => content)).toEqual([first, second, second, told, first, expect.any(String)])
    expect(answers[0]).toMatchObject({ adapter: 'base', reusedTokens: 0, newTokens: 6, finishReason: 'length' })
    for (const { tokensPerSecond, seconds, secondsToFirst } of answers) {
      expect(tokensPerSecond).toBeGreaterThan(0)
      expect(secondsToFirst).toBeLessThanOrEqual(seconds)
    }
    // The second prompt begins with the first one, and /retry reads one token again.
    expect(answers[1].reusedTokens).toBeGreaterThanOrEqual(answers[0].promptTokens)
    expect(answers[2].reusedTokens).toBe(answers[2].promptTokens - 1)
    expect(said.result).toMatchObject({ answers: 6, newTokens: 36, faults: 0 })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      messages: [{ role: 'system', content: 'the moon' }, user('a dog'), assistant(told)],
    })
    rmSync(file)
  })

  it('takes lines from a pipe and writes answers as text', async () => {
    const first = await answerTo([user('the cat')])
    const { out, err, result } = await talk(['the cat', '', '/system', '/nope', '/retry', '//retry', '/quit', 'never'])
    expect(out.startsWith(`${first}\n${first}\n`)).toBe(true)
    expect(err).toMatch(/6 tokens, [\d.]+\/s; prompt \d+ tokens, .*; length/)
    expect(err).toMatch(/\(no system prompt\)/)
    expect(err).toMatch(/warning: Expected one of \/adapter, .*, got "\/nope"/)
    expect(result).toMatchObject({ answers: 3, faults: 1 })
  })

  it('replies until the context is full, and says which limit cut a reply', async () => {
    const lines = [JSON.stringify(user('the cat'))]
    const [free] = linesOf(await talkFreely(lines, '--context', '200', '--json'))
    expect(free).toMatchObject({ finishReason: 'length', cutBy: 'context' })
    expect(free.promptTokens + free.newTokens).toBe(200)
    const [atLeast] = linesOf(await talkFreely(lines, '--context', '40', '--min-new-tokens', '64', '--json'))
    expect(atLeast).toMatchObject({ cutBy: 'context', newTokens: 40 - atLeast.promptTokens })
    expect((await talkFreely(['the cat'], '--context', '40')).err).toMatch(
      /warning: The reply was cut: prompt and reply fill the context of 40 tokens\./,
    )
    const [few] = linesOf(await talk(lines, '--json'))
    expect(few).toMatchObject({ newTokens: 6, cutBy: 'maxNewTokens' })
    expect((await talk(['the cat'])).err).toMatch(
      /warning: The reply was cut after 6 tokens, the limit by `--max-new-tokens`\./,
    )
    // A longer limit than the context has space for does not leave the context.
    const [long] = linesOf(await talk(lines, '--max-new-tokens', '500', '--context', '40', '--json'))
    expect(long).toMatchObject({ cutBy: 'context', newTokens: 40 - long.promptTokens })
    // One that the model ends is not cut.
    const { ids } = applyChatTemplate(tokenizer, [user('the cat')], { template: 'plain', addGenerationPrompt: true })
    const [{ ids: reply }] = await generate(model, tokenizer, [ids], { maxNewTokens: 2 })
    const [whole] = linesOf(await talk(lines, '--eos-token-ids', String(reply[1]), '--json'))
    expect(whole.finishReason).toBe('eos')
    expect(whole).not.toHaveProperty('cutBy')
  })

  it('switches adapters, each with the answers that it gives alone', async () => {
    const flags = ['--adapter', `loud=${at('loud')}`, '--adapter', at('calm'), '--json']
    const lines = ['loud', 'calm', 'base', 'loud'].flatMap((name) => [
      `{"command": "adapter ${name}"}`,
      '{"command": "reset"}',
      JSON.stringify(user('the cat')),
    ])
    const said = await talk([JSON.stringify(user('the cat')), ...lines, '{"command": "adapter lout"}'], ...flags)
    const answers = linesOf(said).filter(({ role }) => role === 'assistant')
    expect(answers.map(({ adapter }) => adapter)).toEqual(['loud', 'loud', 'calm', 'base', 'loud'])
    const alone = await Promise.all(
      ['loud', 'calm', 'base'].map(async (name) => {
        const one = await talk(
          [JSON.stringify(user('the cat'))],
          '--json',
          ...(name === 'base' ? [] : ['--adapter', at(name)]),
        )
        return linesOf(one)[0].content
      }),
    )
    expect(answers.map(({ content }) => content)).toEqual([alone[0], alone[0], alone[1], alone[2], alone[0]])
    expect(new Set(alone).size).toBe(3)
    expect(alone[2]).toBe(await answerTo([user('the cat')]))
    expect(said.out).toMatch(/got \\"lout\\"\. Did you mean `loud`\?/)
  })

  it('lets the oldest turns go when there is no more room, says so, and refuses what can never fit', async () => {
    const turns = Array.from({ length: 14 }, (_, i) => user(`the old man finds the river ${i}`))
    const long = user('the king '.repeat(400))
    const said = await talk(
      [...turns, long, user('the cat')].map((turn) => JSON.stringify(turn)),
      '--json',
      '--system',
      'the moon',
    )
    const lines = linesOf(said)
    const answers = lines.filter(({ role }) => role === 'assistant')
    expect(answers).toHaveLength(15)
    expect(answers[0].droppedMessages).toBe(0)
    expect(answers.at(-1).droppedMessages).toBeGreaterThan(0)
    for (const { promptTokens, newTokens } of answers) expect(promptTokens + newTokens).toBeLessThanOrEqual(96)
    // Much gives way at once, so that most turns go on from what is kept.
    const changes = answers.filter(
      ({ droppedMessages }, i) => i > 0 && droppedMessages !== answers[i - 1].droppedMessages,
    )
    expect(changes.length).toBeLessThan(10)
    expect(lines.find(({ error }) => error !== undefined).error).toMatch(/Expected a message of at most \d+ tokens/)
    // What was refused pushes nothing out of sight.
    const after = await talk(
      [turns[0], long, user('the cat')].map((turn) => JSON.stringify(turn)),
      '--json',
    )
    const [first, last] = linesOf(after).filter(({ role }) => role === 'assistant')
    expect(last.droppedMessages).toBe(0)
    expect(last.reusedTokens).toBeGreaterThanOrEqual(first.promptTokens)
    const text = await talk(turns.map(({ content }) => content))
    expect(text.err).toMatch(/The context is full: the first \d+ messages were dropped\./)
  })

  it('stops an answer at Ctrl-C, and leaves at the next one', async () => {
    const [keyboard, screen] = [new PassThrough(), new PassThrough()]
    let shown = ''
    screen.on('data', (bytes) => {
      shown += bytes
    })
    const { signal } = new AbortController()
    const input = openChatInput(Object.assign(keyboard, { isTTY: true }), screen, signal)
    const line = await parseCommandLine(chat, ['--model', at('base'), '--template', 'plain', '--max-new-tokens', '80'])
    if (line.kind !== 'run') throw new Error('help')
    let [out, err] = ['', '']
    const running = runChat(
      line.options as never,
      {
        json: false,
        signal,
        withFlags: String,
        progress: () => ({ update() {}, stop() {} }) as never,
        log: (text) => {
          err += `${text}\n`
        },
        warn: (text) => {
          err += text
        },
        write: (text) => {
          // While the answer comes.
          if (out === '') keyboard.write('\x03')
          out += text
        },
        emit() {},
      },
      input,
    )
    keyboard.write('the cat\\\ra dog\r')
    while (!err.includes('; aborted')) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(err).toMatch(/; aborted\n/)
    keyboard.write('\x03')
    expect(await running).toMatchObject({ answers: 1, faults: 0 })
    expect(shown).toMatch(/> /)
  })

  it('says in a line what it cannot do', async () => {
    const fault = async (...argv: string[]) => {
      const { code, stderr } = await runHere(['chat', ...argv])
      return `${code} ${stderr}`
    }
    expect(await fault('--model', at('base'))).toMatch(
      /^2 error: `chat` needs a chat template, and this model has none: set `--template` to .*chatml, llama3, mistral, alpaca, plain.*\n$/,
    )
    expect(await fault('--model', at('bert'))).toMatch(
      /^2 error: Expected a decoder-only language model for `chat`.*\n$/,
    )
    expect(await fault('--model', at('base'), '--adapter', `x=${at('base')}`)).toMatch(
      /^1 error: .*Expected the folder of an adapter.*\n$/,
    )
    const twice = ['--adapter', `a=${at('loud')}`, '--adapter', `a=${at('calm')}`]
    expect(await fault('--model', at('base'), ...twice)).toMatch(
      /^2 error: Expected a different name for each `--adapter`.*\n$/,
    )
    expect(await fault('--model', at('base'), '--template', '{% if %}')).toMatch(/^2 error: .*chat template.*\n$/)
    const opened = await open(at('base'))
    const slip = { template: 'plain', sytem: 'Be brief.' } as object
    await expect(opened.chat(slip)).rejects.toThrow(/for `chat`, got the unknown key `sytem`\. Did you mean `system`\?/)
    opened.close()
    const { result, out } = await talk(['nonsense', '{"role": "tool", "content": "x"}', '[]'], '--json')
    expect(result.faults).toBe(3)
    expect(out.match(/"error":/g)).toHaveLength(3)
  })
})

describe('generate', () => {
  it('continues the prompts of a file with several adapters and writes them as lines', async () => {
    const [input, out] = [at('prompts.jsonl'), at('texts.jsonl')]
    const prompts = ['the cat', 'a dog sees the red house', 'my sister', 'the king', 'the old man']
    writeFileSync(input, prompts.map((prompt) => `${JSON.stringify({ ask: prompt })}\n`).join(''))
    const flags = ['--model', at('base'), '--max-new-tokens', '4', '--batch-size', '2']
    const many = [...flags, '--input', input, '--prompt-field', 'ask', '--adapter', 'base', '--adapter', at('loud')]
    const made = await runHere(['generate', ...many, '--out', out, '--json'])
    expect(made.code).toBe(0)
    const { texts } = JSON.parse(made.stdout)
    const rows = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows).toEqual(texts)
    expect(texts.map(({ prompt, adapter }: { prompt: string; adapter: string }) => [adapter, prompt])).toEqual(
      ['base', 'loud'].flatMap((adapter) => prompts.map((prompt) => [adapter, prompt])),
    )
    for (const [i, prompt] of prompts.entries()) {
      const alone = await runHere(['generate', ...flags, '--prompt', prompt, '--json'])
      expect(JSON.parse(alone.stdout).texts[0].text).toBe(texts[i].text)
      const adapted = await runHere(['generate', ...flags, '--prompt', prompt, '--adapter', at('loud'), '--json'])
      expect(JSON.parse(adapted.stdout).texts[0]).toMatchObject({ adapter: 'loud', text: texts[5 + i].text })
    }
    expect(texts[0].text).not.toBe(texts[5].text)

    // Greedy decoding as other programs name it.
    const cold = await runHere(['generate', ...flags, '--prompt', prompts[0], '--temperature', '0', '--json'])
    expect(JSON.parse(cold.stdout).texts[0].ids).toEqual(texts[0].ids)

    const sampled = ['--sample', '--json']
    const sample = async (...more: string[]): Promise<string[]> => {
      const { stdout } = await runHere(['generate', ...flags, ...sampled, ...more])
      return JSON.parse(stdout).texts.map(({ text }: { text: string }) => text)
    }
    const ofFile = ['--input', input, '--prompt-field', 'ask']
    const seeds = ['3', '4', '5', '6', '7'].flatMap((seed) => ['--seed', seed])
    expect((await sample(...ofFile, ...seeds))[4]).toBe((await sample('--prompt', prompts[4], '--seed', '7'))[0])
    // One seed is that of the first prompt, and gives each of the others numbers of its own.
    expect((await sample(...ofFile, '--seed', '7'))[0]).toBe((await sample('--prompt', prompts[0], '--seed', '7'))[0])
    const same = ['--prompt', prompts[0], '--prompt', prompts[0], '--prompt', prompts[0], '--max-new-tokens', '12']
    expect(new Set(await sample(...same, '--seed', '7')).size).toBe(3)
  })

  it('says where the context of the model ends a text', async () => {
    // Its positions are embeddings, which end; those of the base are rotations.
    await saveModel(build('gpt2', 'causal-lm'), at('gpt2'), { tokenizer: words.tokenizer })
    const flags = ['generate', '--model', at('gpt2'), '--prompt', 'the cat']
    // A token that ends the text and cannot be written: only the context does.
    const endless = ['--eos-token-ids', '7', '--suppress-token-ids', '7']
    const { stderr, code } = await runHere([...flags, '--max-new-tokens', '9999', ...endless])
    expect(code).toBe(0)
    expect(stderr).toMatch(
      /context of 96 tokens, prompt included, ended the text before the 9999 tokens of `--max-new-tokens`\.\n/,
    )
    expect((await runHere([...flags, '--max-new-tokens', '4'])).stderr).not.toContain('context of')
  })

  it('puts a message into a chat template and ends where the turn does', async () => {
    const flags = ['generate', '--model', at('base'), '--max-new-tokens', '6', '--prompt', 'the cat', '--json']
    const made = await runHere([...flags, '--chat', '--template', 'plain'])
    expect(JSON.parse(made.stdout).texts[0].text.trim()).toBe(await answerTo([user('the cat')]))
    const without = await runHere([...flags, '--template', 'plain'])
    expect([without.code, without.stderr]).toEqual([2, expect.stringMatching(/^error: `--template` needs `--chat`/)])
    const empty = await runHere(['generate', '--model', at('base'), '--max-new-tokens', '4', '--prompt', '', '--json'])
    expect([empty.code, empty.stderr]).toEqual([0, expect.stringContaining('The prompt is empty: the text begins at')])
    const opened = await open(at('base'))
    expect(JSON.parse(empty.stdout).texts[0].text).toBe(await opened.generate('', { maxNewTokens: 4 }))
    opened.close()
    const none = await runHere(['generate', '--model', at('base')])
    expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/^error: `generate` needs a prompt/)])
  })
})
