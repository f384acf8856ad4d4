// Programs that a model wrote, run against the tests of the record. @source arXiv:2107.03374; arXiv:2108.07732
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { ConfigError, DataError, show } from '../../../core/index.ts'
import { defineReward, RewardError, type RewardSample } from '../reward.ts'
import { runProgram } from './run-program.ts'

interface ProgramTest {
  code: string
  /** The value that `code` must give; undefined where the test asserts by itself. */
  expected?: { value: unknown }
}

/** Relative difference of numbers that are equal. */
const tolerance = 1e-9

const equalJson = (one: unknown, other: unknown): boolean => {
  if (typeof one === 'number' && typeof other === 'number')
    return one === other || Math.abs(one - other) <= tolerance * Math.max(Math.abs(one), Math.abs(other))
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return one === other
  if (Array.isArray(one) !== Array.isArray(other)) return false
  const [left, right] = [Object.entries(one), new Map<string, unknown>(Object.entries(other))]
  return left.length === right.size && left.every(([key, value]) => right.has(key) && equalJson(value, right.get(key)))
}

const fence = /^```[ \t]*([\w+#.-]*)[^\n]*\n([\s\S]*?)^```/gm
const languages = new Set(['', 'js', 'javascript', 'mjs', 'cjs', 'node'])

/** The program in an answer: the last fenced block of JavaScript, else the whole answer. */
export const programIn = (answer: string): string => {
  const blocks = [...answer.matchAll(fence)].filter(([, language]) => languages.has(language.toLowerCase()))
  const source = blocks.at(-1)?.[2] ?? answer
  return source.replace(/^export (?:default )?(?=(?:async )?function|class|const|let|var)/gm, '')
}

/** A test from the data: code, [code, expected], or { code, expected }. */
const testFrom = (value: unknown): ProgramTest | undefined => {
  if (typeof value === 'string') return { code: value }
  if (Array.isArray(value) && value.length === 2 && typeof value[0] === 'string')
    return { code: value[0], expected: { value: value[1] } }
  if (typeof value !== 'object' || value === null || !('code' in value) || typeof value.code !== 'string')
    return undefined
  return 'expected' in value ? { code: value.code, expected: { value: value.expected } } : { code: value.code }
}

/** The tests of a record; none where the column is empty. @throws DataError for another form, ConfigError without the column */
const testsOf = ({ record }: RewardSample, column: string): ProgramTest[] => {
  if (!Object.hasOwn(record.fields, column))
    throw new ConfigError(
      `The reward \`code\` needs a column of tests, and the data has no column ${column}: set \`tests\` to one of ${Object.keys(record.fields).join(', ') || 'its columns'}.`,
    )
  const value = record.fields[column]
  if (value === null || value === undefined || value === '') return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((one) => {
    const test = testFrom(one)
    if (test !== undefined) return test
    throw new DataError(
      `Expected tests as code, as [code, expected], or as { code, expected } in \`${column}\`, got ${show(one)}.`,
      record.file,
      record.line,
    )
  })
}

const parsed = (json: string | undefined): unknown => {
  try {
    return json === undefined ? undefined : JSON.parse(json)
  } catch {
    return undefined
  }
}

export const code = defineReward({
  type: 'code',
  source: 'arXiv:2107.03374',
  summary:
    'The share of the tests of the record that a JavaScript program in the answer passes, run in a child process.',
  config: z.strictObject({
    tests: z
      .string()
      .default('tests')
      .describe('column with the tests: code that asserts, or pairs of code and the value that it must give'),
    all: z.boolean().default(false).describe('1 for a program that passes every test and 0 for others, not the share'),
    seconds: z
      .number()
      .positive()
      .max(600)
      .default(5)
      .describe('time limit of a program with all its tests, in seconds'),
    memory: z.int().min(16).max(8192).default(256).describe('memory limit of a program in MiB'),
  }),
  cached: true,
  // A program has its own limit of time; a call waits for no other.
  limits: { samplesPerCall: 1, concurrency: Math.min(4, availableParallelism()), timeoutSeconds: 660 },
  open: ({ tests: column, all, seconds, memory }) => ({
    async score([sample], { signal }) {
      const tests = testsOf(sample, column)
      if (tests.length === 0) return [null]
      const sources = tests.map((test) => test.code)
      const { outcomes } = await runProgram(programIn(sample.completion), sources, { seconds, memory }, signal).catch(
        (error: unknown) => {
          signal.throwIfAborted()
          throw new RewardError(
            `The reward \`code\` cannot start a process: ${(error as Error).message}. Try a larger \`memory\`.`,
          )
        },
      )
      const passed = tests.filter(({ expected }, i) => {
        const { passed: holds, json } = outcomes[i]
        return expected === undefined ? holds : json !== undefined && equalJson(parsed(json), expected.value)
      })
      const share = passed.length / tests.length
      return [all ? Math.floor(share) : share]
    },
  }),
})
