// `rank_pattern` and `alpha_pattern` of PEFT's files: values by regular expressions of module names.
import { CheckpointError, show } from '../../core/index.ts'
import { isTimeout, runPureWithTimeLimit } from '../../tokenizers/index.ts'
import type { PeftFile } from './format.ts'

/** An expression without repetitions or choices takes no time to speak of; others may come from a hostile file. */
const isPlain = (pattern: string): boolean => /^\^?(?:\w|\.|\\\.)+\$?$/.test(pattern)

const limitMs = 100

/**
 * The value of the first pattern that matches the end of a module name, from the beginning of one of its parts. `^` is the
 * beginning of the whole name.
 * @source peft/utils/other.py, get_pattern_key
 * @throws CheckpointError for values that are not positive numbers, and expressions that JavaScript does not have or that take too long
 */
export const modulePatterns = (file: PeftFile, field: string): ((module: string) => number | undefined) => {
  const given = file.fields[field]
  if (typeof given !== 'object' || given === null) return () => undefined
  const fault = (expected: string, got: unknown, advice = '') =>
    new CheckpointError(`${file.path}: Expected ${expected} for \`${field}\`, got ${show(got)}.${advice}`)
  const patterns = Object.entries(given).map(([pattern, value]: [string, unknown]) => {
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) throw fault('positive numbers', value)
    try {
      return { pattern, value, expression: new RegExp(`^(?:(.*\\.)?(${pattern})$)`, 'u') }
    } catch {
      throw fault('regular expressions that JavaScript has', pattern, ' Write names of modules there instead.')
    }
  })
  return (module) => {
    const found = patterns.find(({ pattern, expression }) => {
      if (isPlain(pattern)) return expression.test(module)
      try {
        return runPureWithTimeLimit(() => expression.test(module), limitMs)
      } catch (error) {
        if (!isTimeout(error)) throw error
        throw fault('regular expressions that take less than 0.1 s', pattern, ' Write names of modules there instead.')
      }
    })
    return found?.value
  }
}
