// The generated recipe types: as the schemas have them, red for misspelt keys, and with help on hover.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, it } from 'vitest'

const away = process.env.TUNESMITH_TEST_DEVICE !== undefined
const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '../..')

const ofTheCpu = away ? ' (skipped: the default device of the schemas is that of the tests)' : ''
it.skipIf(away)(
  `are what scripts/generate-recipe-types.mjs makes of the schemas (run \`npm run generate\`)${ofTheCpu}`,
  async () => {
    const generator = '../../scripts/generate-recipe-types.mjs'
    const { recipeTypes } = (await import(generator)) as { recipeTypes(): Record<string, string> }
    const files = recipeTypes()
    const written = readdirSync(join(folder, 'recipe-types')).filter((name) => name !== '.source-digest')
    expect(written.sort()).toEqual(Object.keys(files).sort())
    for (const [name, source] of Object.entries(files))
      expect(readFileSync(join(folder, 'recipe-types', name), 'utf8'), name).toBe(source)
  },
)

let source = ''
let version = 0

/** An editor with one file in src/runs, which has the text of `source`. */
const makeEditor = () => {
  const name = join(folder, 'edited-recipe.ts')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const read = (path: string) => (path === name ? source : ts.sys.readFile(path))
  const service = ts.createLanguageService({
    // The strictest setting that users have for optional fields.
    getCompilationSettings: () => ({ ...options, noEmit: true, exactOptionalPropertyTypes: true }),
    getScriptFileNames: () => [name],
    getScriptVersion: (path) => (path === name ? String(version) : '1'),
    getScriptSnapshot: (path) => {
      const text = read(path)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (path) => path === name || ts.sys.fileExists(path),
    readFile: read,
    readDirectory: ts.sys.readDirectory,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
  })
  return {
    faults: () =>
      service.getSemanticDiagnostics(name).map((fault) => ts.flattenDiagnosticMessageText(fault.messageText, '\n')),
    hover: (key: string) => {
      const info = service.getQuickInfoAtPosition(name, source.indexOf(`${key}:`))
      return ts.displayPartsToString(info?.documentation)
    },
    completions: (before: string) =>
      (service.getCompletionsAtPosition(name, source.indexOf(before) + before.length, {})?.entries ?? []).map(
        (entry) => entry.name,
      ),
  }
}

let editor: ReturnType<typeof makeEditor> | undefined
const editorOf = (text: string) => {
  source = text
  version++
  editor ??= makeEditor()
  return editor
}

const recipe = `import { defineRun } from './define-run.ts'
export const tuned = defineRun({
  command: 'finetune',
  base: 'b',
  data: 'd',
  out: 'o',
  task: 'sequence-classification',
  settings: { multiLabel: true },
  variant: 'lora',
  adapter: { rank: 8 },
  batch: { microTokens: 4096 },
})
export const trained = defineRun({
  model: { type: 'bert', preset: 'tiny', config: { hiddenSize: 64 } },
  objective: { type: 'masked-lm', wholeWords: true },
  data: 'd',
  tokenizer: 't',
  out: 'o',
})
`

it('show the help of a key on hover', () => {
  const editor = editorOf(recipe)
  expect(editor.faults()).toEqual([])
  expect(editor.hover('microTokens')).toMatch(/^Tokens per forward pass.*Default:\s`8192`\.$/s)
  expect(editor.hover('rank')).toMatch(/rank/i)
  expect(editor.hover('multiLabel')).not.toBe('')
  expect(editor.hover('hiddenSize')).toMatch(/Default:\s`768`/)
  expect(editor.hover('wholeWords')).not.toBe('')
  expect(editor.completions('adapter: { ')).toContain('alpha')
  expect(editor.completions('adapter: { ')).not.toContain('virtualTokens')
})

it.each([
  ['a setting of the variant', 'rank: 8', 'rnak: 8', /'rnak' does not exist/],
  ['a setting of another variant', 'rank: 8', 'virtualTokens: 8', /'virtualTokens' does not exist/],
  ['a setting of the task', 'multiLabel: true', 'multiLable: true', /'multiLable' does not exist/],
  ['a setting of the architecture', 'hiddenSize: 64', 'hidenSize: 64', /'hidenSize' does not exist/],
  ['a setting of the objective', 'wholeWords: true', 'wholeWord: true', /'wholeWord' does not exist/],
  ['a setting of every run', 'microTokens: 4096', 'microToken: 4096', /'microToken' does not exist/],
  ['a preset', "preset: 'tiny'", "preset: 'tinny'", /"tinny"/],
  ['a value', 'rank: 8', "rank: 'eight'", /Type 'string' is not assignable to type 'number'/],
])('make %s that is misspelt an error', (_, right, wrong, message) => {
  expect(editorOf(recipe.replace(right, wrong)).faults().join('\n')).toMatch(message)
})

it.each(['full', 'linear-probe'])('take no settings of an adapter for %s, which has none', (variant) => {
  const own = recipe.replace("variant: 'lora'", `variant: '${variant}'`)
  expect(editorOf(own).faults().join('\n')).toMatch(/not assignable to type 'undefined'/)
  expect(editorOf(own.replace('  adapter: { rank: 8 },\n', '')).faults()).toEqual([])
})

it('take the settings of a package that declares them', () => {
  const declared = `declare module './recipe-types/index.ts' {
  interface ObjectiveSettings {
    'my-objective': { factor?: number }
  }
}
`
  const own = recipe.replace("type: 'masked-lm', wholeWords: true", "type: 'my-objective', factor: 2")
  expect(editorOf(own).faults()).not.toEqual([])
  expect(editorOf(own + declared).faults()).toEqual([])
  expect(
    editorOf(own.replace('factor', 'faktor') + declared)
      .faults()
      .join(),
  ).toMatch(/'faktor' does not exist/)
})

it('take settings, listeners and options that may be undefined, under `exactOptionalPropertyTypes`', () => {
  const program = `import { loadModel } from '../checkpoint/index.ts'
import { defineRun, finetune } from './index.ts'
export const start = async (maybe: string | undefined, count: number | undefined, signal?: AbortSignal) => {
  const recipe = defineRun({
    command: 'finetune',
    base: 'b',
    data: 'd',
    out: 'o',
    task: 'sequence-classification',
    settings: undefined,
    validation: maybe,
    budget: { epochs: 1, steps: count },
    optimizer: { type: 'adamw', beta2: count },
    callbacks: undefined,
  })
  const onNote = maybe === undefined ? undefined : (line: string) => console.log(line)
  await loadModel('b', { dtype: undefined, device: maybe, dropout: count, revision: maybe, headOptions: undefined })
  return finetune(recipe, { signal, onNote })
}
`
  expect(editorOf(program).faults()).toEqual([])
  expect(editorOf(program.replace('{ signal, onNote }', '{ signal: maybe }')).faults()).not.toEqual([])
})
