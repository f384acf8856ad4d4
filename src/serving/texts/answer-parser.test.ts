// Answers as models write them, whole and split at every character: the parts are the same.
import { describe, expect, it } from 'vitest'
import { AnswerParser, beginsThinking, type Thinking } from './answer-parser.ts'

const call = (to: string) => `{"name": "sail", "arguments": {"to": "${to}"}}`
const tagged = (to: string) => `<tool_call>\n${call(to)}\n</tool_call>`
const sail = { functions: [{ name: 'sail' }], maxCalls: Number.POSITIVE_INFINITY }
const noTools = { functions: [], maxCalls: 0 }

interface Answer {
  reasoning: string
  content: string
  /** Ports of the calls. */
  calls: string[]
}

const read = (pieces: Iterable<string>, tools = sail, thinking: Thinking = 'possible'): Answer => {
  const parser = new AnswerParser(tools, thinking)
  const answer: Answer = { reasoning: '', content: '', calls: [] }
  const add = (parts: ReturnType<AnswerParser['read']>) => {
    for (const part of parts)
      if (part.kind !== 'call') answer[part.kind] += part.text
      else answer.calls.push((JSON.parse(part.call.function.arguments) as { to: string }).to)
  }
  for (const piece of pieces) add(parser.read(piece))
  add(parser.end())
  return answer
}

describe('an answer', () => {
  it.each<[string, string, Partial<Answer>]>([
    ['text', ' A ship.\n', { content: ' A ship.\n' }],
    ['a call in JSON', call('Oslo'), { calls: ['Oslo'] }],
    ['a list of calls', `[${call('Oslo')}, ${call('Rome')}]`, { calls: ['Oslo', 'Rome'] }],
    ['calls in tags', `${tagged('Oslo')}\n${tagged('Rome')}\n`, { calls: ['Oslo', 'Rome'] }],
    ['a call after prose', `I sail.\n\n${tagged('Oslo')}`, { content: 'I sail.', calls: ['Oslo'] }],
    [
      'a call after reasoning',
      `<think>\nWhere to?\n</think>\n\n${tagged('Oslo')}`,
      { reasoning: 'Where to?', calls: ['Oslo'] },
    ],
    ['a call in JSON after reasoning', `<think>Hm.</think>\n${call('Oslo')}`, { reasoning: 'Hm.', calls: ['Oslo'] }],
    [
      'all of them',
      `<think>\nHm. <tool_call> is a tag.\n</think>\n\nAye!\n${tagged('Oslo')}\nand ${tagged('Rome')}`,
      { reasoning: 'Hm. <tool_call> is a tag.', content: 'Aye!\nand', calls: ['Oslo', 'Rome'] },
    ],
    ['empty reasoning', '<think>\n\n</think>\n\nAye!', { content: 'Aye!' }],
    ['reasoning without an end', '<think>\nWhere to?\n</thi', { reasoning: 'Where to?\n</thi' }],
    ['a call without a closing tag', `Aye! <tool_call>${call('Oslo')}`, { content: 'Aye!', calls: ['Oslo'] }],
    ['half a call', 'Aye! <tool_call>{"name": "sa', { content: 'Aye! <tool_call>{"name": "sa' }],
    ['an unknown function', `${tagged('Oslo').replace('sail', 'fly')}!`, { content: undefined }],
    ['a tag that is named', `Write <tool_call>: ${tagged('Oslo')}`, { content: 'Write <tool_call>:', calls: ['Oslo'] }],
    ['JSON that is no call', '{"name": "fly"} ', { content: '{"name": "fly"} ' }],
    ['brackets, then a call', `[1] ${tagged('Oslo')}`, { content: '[1]', calls: ['Oslo'] }],
    ['a comparison', 'a <t and b < tool', { content: 'a <t and b < tool' }],
  ])('has the same parts whole and in pieces: %s', (name, text, expected) => {
    const wanted = { reasoning: '', content: '', calls: [], ...expected }
    if (name === 'an unknown function') wanted.content = text
    expect(read([text])).toEqual(wanted)
    expect(read(text)).toEqual(wanted)
    for (let at = 1; at < text.length; at++) expect(read([text.slice(0, at), text.slice(at)])).toEqual(wanted)
  })

  it('gives content as soon as it can be no tag', () => {
    const parser = new AnswerParser(sail, 'none')
    const given = ['Aye', '! <', 'tool', '_box', ' \n', '<tool_call>', call('Oslo'), '</tool_call>'].map((text) =>
      parser.read(text).map((part) => (part.kind === 'call' ? 'call' : part.text)),
    )
    expect(given).toEqual([['Aye'], ['!'], [], [' <tool_box'], [], [], [], ['call']])
  })

  it('begins in reasoning where the prompt ends so, and has none where the template knows none', () => {
    expect(read('Hm.\n</think>\n\nAye!', sail, 'begun')).toEqual({ reasoning: 'Hm.', content: 'Aye!', calls: [] })
    expect(read('<think>Hm.</think> Aye!', noTools, 'none').content).toBe('<think>Hm.</think> Aye!')
    expect(read('<think>Hm.</think> Aye!', noTools).content).toBe('Aye!')
    expect(['<think>\n', '<think>\n\n</think>\n\n', 'x'].map(beginsThinking)).toEqual([true, false, false])
  })

  it('without tools has no calls, and with them at most as many as are wanted', () => {
    expect(read(tagged('Oslo'), noTools)).toMatchObject({ content: tagged('Oslo'), calls: [] })
    expect(read(tagged('Oslo') + tagged('Rome'), { ...sail, maxCalls: 1 })).toMatchObject({ calls: ['Oslo'] })
    expect(read(`[${call('Oslo')},${call('Rome')}]`, { ...sail, maxCalls: 1 })).toMatchObject({ calls: ['Oslo'] })
  })
})
