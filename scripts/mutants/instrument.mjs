// Faults for `npm run test:mutants`: Stryker's instrumenter writes every mutant of a source into one text, each behind a switch, so that one
// build serves all of them. Stryker itself would start tests in processes of its own pool, which the native addon and vitest's forked
// processes do not allow: so the instrumenter alone is used. Independent of tests, of the sample and of files.
import { Instrumenter } from '@stryker-mutator/instrumenter'

/** Folders of src where a fault gives a wrong number and no error. */
export const folders = ['objectives', 'tasks/metrics', 'alignment', 'optim', 'adapters', 'tokenizers', 'data']

const options = {
  plugins: null,
  // A wrong message is not a wrong number.
  excludedMutations: ['StringLiteral'],
  ignorers: [{ shouldIgnore: (path) => (isMessage(path) ? 'text for people' : undefined) }],
  noHeader: true,
}
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error, isDebugEnabled: () => false }

/** Arguments of errors, and of descriptions in schemas. */
const isMessage = ({ listKey, parent }) => {
  if (listKey !== 'arguments') return false
  const { callee } = parent
  const name = callee.name ?? callee.property?.name ?? ''
  return parent.type === 'NewExpression' ? name.endsWith('Error') : /^(?:describe|meta|expected\w*)$/.test(name)
}

/** Stryker's calls are slow in loops, so a global variable and a global array take their place. */
const switchOf = /stryMutAct_9fa48\(\s*"(\d+)"\s*\)/g
const placeOf = /stryCov_9fa48\(\s*("\d+"(?:\s*,\s*"\d+")*)\s*\)/g

/**
 * Instruments `files`, which have `name` and `content`. Returns the texts by name, and the mutants. `globalThis.tunesmithMutant`, or
 * TUNESMITH_MUTANT in the environment, is the number of the active mutant; `globalThis.tunesmithReached[place]` becomes 1 where the place
 * of a mutant was executed.
 */
export const instrument = async (files) => {
  const written = await new Instrumenter(quiet).instrument(
    files.map((file) => ({ ...file, mutate: true })),
    options,
  )
  let places = 0
  const placeOfMutant = new Map()
  const bodies = written.files.map(({ name, content }) => {
    const text = content
      .replace(switchOf, (_, id) => `(globalThis.tunesmithMutant === ${id})`)
      .replace(placeOf, (_, ids) => {
        for (const [id] of ids.matchAll(/\d+/g)) placeOfMutant.set(id, places)
        return `globalThis.tunesmithReached[${places++}] = 1`
      })
    return [name, text]
  })
  const header =
    'globalThis.tunesmithMutant ??= Number(process.env.TUNESMITH_MUTANT ?? -1); ' +
    `globalThis.tunesmithReached ??= new Uint8Array(${places});\n`
  const mutants = written.mutants
    .filter(({ status }) => status !== 'Ignored')
    .map(({ id, fileName, location, mutatorName, replacement }) => ({
      id: Number(id),
      file: fileName,
      line: location.start.line + 1,
      column: location.start.column + 1,
      end: { line: location.end.line + 1, column: location.end.column + 1 },
      mutator: mutatorName,
      replacement,
      place: placeOfMutant.get(id),
    }))
  return { texts: new Map(bodies.map(([name, text]) => [name, header + text])), mutants, places }
}
