// Chat templates of the families that models have, and the Modelfiles that they are exported with: for ollama.test.ts, and for
// render-with-ollama.go through `node --import tsx` on this file.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  modelfileValue,
  type OllamaTemplate,
  ollamaConversations,
  templateFor,
  templateLine,
} from '../../src/export/ollama/template.ts'
import { type ChatMessage, renderChat } from '../../src/tokenizers/index.ts'
import { chatTemplates } from '../tokenizers/chat-conversations.ts'

const bos = '<s>'
const eos = '</s>'

const last = readFileSync(join(import.meta.dirname, '..', 'tokenizers', 'chat-templates', 'mistral.jinja'), 'utf8')

const written: Record<string, string> = {
  // As SmolLM2 has it: a system message of its own.
  'default system': `{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nYou are "Smol"<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`,
  // As Phi 3 has it: an end token only after whole conversations.
  'phi 3': `{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}{{ '<|assistant|>\n' if add_generation_prompt else eos_token }}`,
  // As Gemma's first version has it.
  'no system': `{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}`,
  // As Llama 2 has it: the start token in each question, the system message in the first.
  'llama 2': `{% set sys = messages[0]['content'] if messages[0]['role'] == 'system' else none %}{% for m in messages if m['role'] != 'system' %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + ('<<SYS>>\n' + sys + '\n<</SYS>>\n\n' if sys is not none and loop.first else '') + m['content'] | trim + ' [/INST]' }}{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}`,
  zephyr: `{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}`,
  'system in the last question': last,
  // Texts that mean something to Go's templates or to the parser of Modelfiles.
  'odd texts': `{% for m in messages %}{{ '{' + '{ .Role }}"' + '""\u2028\u00a0🙂\\r\r ' + m['role'] + ' """ ' + m['content'] + '"\t' }}{% endfor %}{% if add_generation_prompt %}{{ '"' }}{% endif %}`,
  'several parts': `{% for m in messages %}{{ loop.index ~ '. ' + m['content'] + '\n' }}{% endfor %}`,
  'with the date': `{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}`,
}

/** Chat templates by name, and the token that llama.cpp adds before each text, or ''. */
export const families = (): [name: string, template: string, start: string][] =>
  Object.entries({ ...chatTemplates(), ...written }).flatMap(([name, template]) => {
    const starts = template.includes('bos_token') ? ['', bos] : ['']
    return starts.map((start): [string, string, string] => [
      start === '' ? name : `${name} after ${start}`,
      template,
      start,
    ])
  })

/** A conversation up to the answer, without the start token that llama.cpp adds; undefined where the template refuses it. */
export const rendered = (source: string, start: string, messages: readonly ChatMessage[]): string | undefined => {
  try {
    const text = renderChat(messages, {
      template: source,
      addGenerationPrompt: true,
      variables: { bos_token: bos, eos_token: eos },
    })
    return text.startsWith(start) ? text.slice(start.length) : text
  } catch {
    return undefined
  }
}

/** TEMPLATE for a chat template. */
export const made = (source: string, start: string): OllamaTemplate =>
  templateFor({
    source,
    bos,
    start,
    render: (messages, { addGenerationPrompt, variables }) =>
      renderChat(messages, {
        template: source,
        addGenerationPrompt,
        variables: { ...variables, bos_token: bos, eos_token: eos },
      }),
  })

/** Texts that end answers. */
export const stops = ['<|im_end|>', 'User:', '\n\n', ' a "b" c ', '"', '### Question:\n', '\\n']

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lines = stops.map((stop) => `PARAMETER stop ${modelfileValue(stop)}`)
  const Modelfiles = Object.fromEntries(
    families().flatMap(([name, template, start]) => {
      const result = made(template, start)
      return 'text' in result ? [[name, ['FROM ./x.gguf', ...lines, templateLine(result.text), ''].join('\n')]] : []
    }),
  )
  process.stdout.write(JSON.stringify({ Modelfiles, Conversations: ollamaConversations }))
}
