// Modelfiles: their TEMPLATE renders conversations as the chat template does, by Ollama's own parser and template package.
// golden/ollama-templates.json is from render-with-ollama.go.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { modelfileValue, ollamaConversations, templateFor } from '../../src/export/ollama/template.ts'
import { renderChat } from '../../src/tokenizers/index.ts'
import { families, made, rendered, stops } from './ollama-templates.ts'

const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden', 'ollama-templates.json'), 'utf8')) as Record<
  string,
  { template: string; stop: string[]; rendered: string[] }
>

describe('the TEMPLATE of a Modelfile', () => {
  const all = families().map(([name, source, start]) => ({ name, source, start, result: made(source, start) }))
  const written = all.filter(({ result }) => 'text' in result)

  it('is written for all families but those that no fixed texts express', () => {
    expect(written.map(({ name }) => name).sort()).toEqual(Object.keys(golden).sort())
    const reasons = Object.fromEntries(
      all.flatMap(({ name, result }) => ('reason' in result ? [[name, result.reason.slice(0, 50)]] : [])),
    )
    expect(reasons).toMatchInlineSnapshot(`
      {
        "features": "the chat template does more than to write fixed te",
        "several parts": "the chat template renders [{"role":"user","content",
        "with the date": "the chat template writes the date",
      }
    `)
  })

  it.each(written)('renders in Ollama what the chat template renders: $name', ({ name, source, start, result }) => {
    expect(golden[name].template).toBe('text' in result ? result.text : '')
    expect(golden[name].stop).toEqual(stops)
    const expected = ollamaConversations.map((messages) => rendered(source, start, messages))
    expect(golden[name].rendered.filter((_, i) => expected[i] !== undefined)).toEqual(
      expected.filter((text) => text !== undefined),
    )
    expect(expected.filter((text) => text !== undefined)).toHaveLength('text' in result ? result.conversations : 0)
  })

  it('begins each turn with the start token where the chat template does', () => {
    const source = families().find(([name]) => name === 'default system')?.[1] ?? ''
    const render: Parameters<typeof templateFor>[0]['render'] = (messages, { addGenerationPrompt, variables }) =>
      renderChat(messages, { template: source, addGenerationPrompt, variables })
    const result = templateFor({ source, bos: '<|im_start|>', render })
    expect('text' in result && result.text).toBe(golden['default system'].template)
  })

  it('says what it leaves out', () => {
    const limits = Object.fromEntries(
      written.flatMap(({ name, start, result }) =>
        start === '' && 'limits' in result && result.limits.length > 0 ? [[name, result.limits]] : [],
      ),
    )
    expect(limits).toMatchInlineSnapshot(`
      {
        "chatml": [
          "leaves out tools",
        ],
        "gemma": [
          "keeps white space around messages",
        ],
        "llama": [
          "leaves out tools",
          "keeps white space around messages",
        ],
        "llama 2": [
          "keeps white space around messages",
        ],
        "llama3": [
          "keeps white space around messages",
        ],
        "mistral": [
          "keeps white space around messages",
        ],
        "no system": [
          "leaves out system messages, which the chat template refuses",
          "keeps white space around messages",
        ],
        "qwen2": [
          "leaves out tools",
        ],
        "qwen3": [
          "leaves out tools",
          "leaves out system messages, which the chat template refuses",
          "keeps the reasoning of earlier answers",
        ],
        "system in the last question": [
          "leaves out tools",
          "keeps white space around messages",
        ],
      }
    `)
  })
})

describe('a line of a Modelfile', () => {
  it('has no value for a text that its parser would read otherwise', () => {
    expect(modelfileValue('a"""b')).toBeUndefined()
    expect(modelfileValue('a\u2028b')).toBeUndefined()
    expect(modelfileValue('a\rb')).toBeUndefined()
    expect(modelfileValue('a\nb')).toBe('"""a\nb"""')
  })
})
