// Chat templates: the presets, the masks for templates of many forms, and the limits.
import { describe, expect, it } from 'vitest'
import { bertJson } from '../legacy-files.ts'
import { loadTokenizer } from '../loading.ts'
import { Tokenizer } from '../tokenizer.ts'
import { applyChatTemplate, CHAT_TEMPLATES, type ChatMessage, renderChat, renderWithSpans } from './index.ts'

const MESSAGES: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hello?' },
  { role: 'assistant', content: ' Hi there! ' },
  { role: 'user', content: 'Bye, Hi there!' },
  { role: 'assistant', content: 'So long.' },
]
const VARIABLES = { bos_token: '<s>', eos_token: '</s>' }
const ENDS = ['</s>', '<|im_end|>', '<|eot_id|>']

const answers = (template: string, messages = MESSAGES) => {
  const { text, spans } = renderWithSpans(messages, { template, variables: VARIABLES }, ENDS)
  return spans.map(([start, end]) => text.slice(start, end))
}

describe('presets', () => {
  it('write the published formats', () => {
    const short = MESSAGES.slice(1, 3)
    const render = (template: string) => renderChat(short, { template, variables: VARIABLES })
    expect(render('chatml')).toBe('<|im_start|>user\nHello?<|im_end|>\n<|im_start|>assistant\n Hi there! <|im_end|>\n')
    expect(render('llama3')).toBe(
      '<s><|start_header_id|>user<|end_header_id|>\n\nHello?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHi there!<|eot_id|>',
    )
    expect(render('mistral')).toBe('<s>[INST] Hello? [/INST] Hi there!</s>')
    expect(render('alpaca')).toContain('### Instruction:\nHello?\n\n### Response:\n Hi there! </s>')
    expect(render('plain')).toBe('User: Hello?\nAssistant:  Hi there! </s>\n')
    expect(renderChat(short.slice(0, 1), { template: 'chatml', addGenerationPrompt: true })).toMatch(
      /<\|im_start\|>assistant\n$/,
    )
  })

  it.each(Object.keys(CHAT_TEMPLATES))('mark each answer with its end of turn, and nothing else: %s', (name) => {
    const found = answers(name)
    expect(found).toHaveLength(2)
    expect(found[0]).toMatch(/^ *Hi there! ?(<\/s>|<\|im_end\|>|<\|eot_id\|>)$/)
    expect(found[1]).toMatch(/^ ?So long\.(<\/s>|<\|im_end\|>|<\|eot_id\|>)$/)
  })
})

describe('assistant masks', () => {
  it("use the template's own generation tags, with any white-space control", () => {
    const template = `{%- for m in messages %}
{%- if m.role == 'assistant' %}A:{% generation %}
 {{ m.content }}!{%- endgeneration -%}

{%- else -%} U:{{ m.content }}
{% endif -%}
{%- endfor %}`
    const found = renderWithSpans(MESSAGES, { template }, [])
    expect(found.spans).toHaveLength(2)
    expect(found.spans.map(([start, end]) => found.text.slice(start, end).trim())).toEqual(['Hi there! !', 'So long.!'])
  })

  it('cover answers that the template trims, truncates or surrounds with text', () => {
    expect(answers('{% for m in messages %}[{{ m.role }}: {{ m.content | trim }}]\n{% endfor %}')).toEqual([
      'Hi there!',
      'So long.',
    ])
    // This template reads the answer, so markers would change its output.
    const looks =
      "{% for m in messages %}<{{ m.role }}>{{ m.content.split('H')[-1] if m.role == 'assistant' else m.content }}</s>\n{% endfor %}"
    expect(answers(looks).map((text) => text.trim())).toEqual([
      expect.stringContaining('i there!'),
      expect.stringContaining('So long.'),
    ])
  })

  it('cover tool calls, which have no content', () => {
    const template =
      '{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}'
    const messages = [
      MESSAGES[1],
      { role: 'assistant', tool_calls: [{ name: 'add', arguments: { a: 1 } }] },
      MESSAGES[3],
    ]
    const [found] = answers(template, messages)
    expect(found).toContain('"add"')
    expect(found).toMatch(/<\|im_end\|>$/)
    expect(found).not.toContain('assistant')
  })

  it('throw an error for a template that drops the answers', () => {
    expect(() => answers("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")).toThrow(
      /generation/,
    )
  })
})

describe('applyChatTemplate', () => {
  const vocab = [
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    'hi',
    'there',
    '!',
    'so',
    'long',
    '.',
    'user',
    'assistant',
    ':',
    '?',
    'hello',
  ]
  it('returns a mask over tokens', async () => {
    const json = bertJson(vocab.join('\n'))
    const tokenizer = new Tokenizer(json, {
      special: (idOf) => ({ eos: { token: '[SEP]', id: idOf('[SEP]')! }, additional: [] }),
    })
    const chat = applyChatTemplate(tokenizer, MESSAGES.slice(1, 3), { template: 'plain' })
    const masked = chat.ids.filter((_, i) => chat.assistantMask[i] === 1).map((id) => tokenizer.idToToken(id))
    expect(masked).toEqual(['hi', 'there', '!', '[SEP]'])
    expect(chat.assistantMask).toHaveLength(chat.ids.length)
    expect(() => applyChatTemplate(tokenizer, MESSAGES)).toThrow(/chatml/)
    const loaded = await loadTokenizer(json)
    expect(applyChatTemplate(loaded, MESSAGES.slice(1, 2), { template: 'plain' }).assistantMask).not.toContain(1)
  })
})

describe('limits', () => {
  const render = (template: string) => () => renderChat(MESSAGES, { template })
  it('stop templates that never end, and report broken ones', () => {
    expect(render('{% for i in range(1000000000) %}x{% endfor %}')).toThrow(/at most/)
    const nested = '{% for a in range(9999) %}{% for b in range(9999) %}{% set c = a %}{% endfor %}{% endfor %}'
    const started = performance.now()
    expect(render(nested)).toThrow(/timed out/)
    expect(performance.now() - started).toBeLessThan(20_000)
    expect(
      render(`{% set ns = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`),
    ).toThrow(/chat template/)
    expect(render('{% if %}')).toThrow(/chat template/)
    expect(render("{{ raise_exception('no') }}")).toThrow(/no/)
    expect(render('x'.repeat(300_000))).toThrow(/at most/)
    expect(() => renderChat([{} as ChatMessage], { template: 'plain' })).toThrow(/role/)
  })
})
