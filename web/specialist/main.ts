// The page of an exported specialist: a form, and below it what the model says.
import '../styles/base.css'
import './specialist.css'
import { env } from '@huggingface/transformers'
import type { SpecialistFacts, WebPipeline } from '../../src/export/web/specialist-facts.ts'
import { answer, classify, compare, type Opened, openSpecialist, type Scored, tag, write } from './run.ts'

/** A field of the form. */
interface Field {
  name: string
  label: string
  rows: number
}

const element = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  children: readonly (Node | string)[] = [],
): HTMLElementTagNameMap[Name] => {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

const table = (rows: readonly Scored[], format: (score: number) => string): HTMLElement =>
  element('table', {}, [
    element(
      'tbody',
      {},
      rows.map(({ label, score }) =>
        element('tr', {}, [
          element('th', { scope: 'row', textContent: label }),
          element('td', { textContent: format(score) }),
          element('td', {}, [
            element('meter', { min: 0, max: 1, value: Math.max(0, Math.min(1, score)), ariaLabel: label }),
          ]),
        ]),
      ),
    ),
  ])

const percent = (score: number): string => `${(100 * score).toFixed(1)} %`

/** What a pipeline asks for, and how its answer is shown in `output`. */
interface View {
  fields: (facts: SpecialistFacts) => Field[]
  button: string
  run(opened: Opened, values: Record<string, string>, output: HTMLElement): Promise<void>
}

const text = (label: string, rows = 4): Field => ({ name: 'text', label, rows })

const writing: View = {
  fields: () => [text('Prompt')],
  button: 'Write',
  run: async (opened, { text: prompt }, output) => {
    const shown = element('p', { className: 'written' })
    output.replaceChildren(shown)
    shown.textContent = await write(opened, prompt, (part) => {
      shown.textContent = part
    })
  },
}

const views: Record<WebPipeline, View> = {
  'text-classification': {
    fields: ({ pair }) => [text('Text'), ...(pair ? [{ name: 'second', label: 'Second text', rows: 4 }] : [])],
    button: 'Classify',
    run: async (opened, values, output) => {
      const found = await classify(opened, values.text, values.second ?? '')
      const isNumber = opened.facts.labels.length === 0
      output.replaceChildren(
        isNumber ? element('p', { textContent: found[0].score.toPrecision(5) }) : table(found, percent),
      )
    },
  },
  'token-classification': {
    fields: () => [text('Text')],
    button: 'Find entities',
    run: async (opened, values, output) => {
      const { parts, tags } = await tag(opened, values.text)
      const shown = parts.map((part) =>
        part.label === undefined
          ? part.text
          : element('mark', {}, [part.text, ' ', element('small', { textContent: part.label })]),
      )
      const line = element('p', { className: 'written' }, shown)
      line.dataset.tags = tags.join(' ')
      output.replaceChildren(line)
    },
  },
  'question-answering': {
    fields: () => [
      { name: 'question', label: 'Question', rows: 1 },
      { name: 'context', label: 'Text', rows: 8 },
    ],
    button: 'Answer',
    run: async (opened, { question, context }, output) => {
      const found = await answer(opened, question, context)
      output.replaceChildren(element('p', { textContent: found === '' ? 'The text has no answer.' : found }))
    },
  },
  'sentence-similarity': {
    fields: () => [text('Text', 2), { name: 'others', label: 'Texts to compare with, one per line', rows: 6 }],
    button: 'Compare',
    run: async (opened, values, output) => {
      const others = values.others.split('\n').filter((line) => line.trim() !== '')
      output.replaceChildren(table(await compare(opened, values.text, others), (score) => score.toFixed(3)))
    },
  },
  'text-generation': writing,
  'text2text-generation': writing,
}

const formOf = (opened: Opened, output: HTMLElement): HTMLFormElement => {
  const { facts } = opened
  const { fields, button, run } = views[facts.pipeline]
  const submit = element('button', { type: 'submit', className: 'primary', textContent: button })
  const form = element('form', {}, [
    ...fields(facts).map(({ name, label, rows }) =>
      element('label', {}, [label, element('textarea', { name, rows, required: true })]),
    ),
    submit,
  ])
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const values = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]))
    submit.disabled = true
    output.setAttribute('aria-busy', 'true')
    try {
      await run(opened, values, output)
    } catch (error) {
      output.replaceChildren(element('p', { className: 'error', textContent: String(error) }))
    } finally {
      submit.disabled = false
      output.setAttribute('aria-busy', 'false')
    }
  })
  return form
}

/** Files come from beside the page, and nothing else is asked. */
const useLocalFiles = (): void => {
  const at = (name: string) => new URL(name, document.baseURI).href
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: './', useBrowserCache: false })
  const { wasm } = env.backends.onnx as { wasm: { wasmPaths?: object } }
  wasm.wasmPaths = {
    mjs: at('ort-wasm-simd-threaded.asyncify.mjs'),
    wasm: at('ort-wasm-simd-threaded.asyncify.wasm'),
  }
}

const start = async (app: HTMLElement): Promise<void> => {
  document.documentElement.dataset.theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  const state = element('p', { textContent: 'Loading the model …' })
  const output = element('section', { ariaLabel: 'Result', ariaLive: 'polite' })
  app.append(state, output)
  useLocalFiles()
  const response = await fetch('./specialist.json')
  const facts = (await response.json()) as SpecialistFacts
  const opened = await openSpecialist(facts, (file, share) => {
    state.textContent = `Loading ${file} … ${Math.round(100 * share)} %`
  })
  state.textContent = 'The model runs in this browser: no text leaves it.'
  app.insertBefore(formOf(opened, output), output)
}

const app = document.getElementById('app') as HTMLElement
start(app).catch((error: unknown) => {
  app.append(element('p', { className: 'error', textContent: `The model could not be opened: ${String(error)}` }))
})
