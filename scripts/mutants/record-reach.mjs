// A setup file of vitest for the first step of `npm run test:mutants`: writes which places of mutants a test file executes, apart for the
// time in which its modules load and for its tests. Each file has a process of its own in that step.
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'

globalThis.tunesmithReached ??= new Uint8Array(Number(process.env.TUNESMITH_MUTANT_PLACES))
const reached = globalThis.tunesmithReached
const file = relative(process.cwd(), expect.getState().testPath)
let loading = []

const executed = () => [...reached.keys()].filter((place) => reached[place] === 1)
const failed = ({ tasks, result }) => result?.state === 'fail' || (tasks ?? []).some(failed)

beforeAll(() => {
  loading = executed()
  reached.fill(0)
})

// biome-ignore lint/correctness/noEmptyPattern: vitest wants this form of the first argument
afterAll(({}, suite) => {
  const record = {
    file,
    failed: failed(suite),
    // Since the process began.
    seconds: Math.round(performance.now()) / 1000,
    loading,
    testing: executed(),
  }
  writeFileSync(join(process.env.TUNESMITH_MUTANT_REACH, `${file.replaceAll('/', '+')}.json`), JSON.stringify(record))
})
