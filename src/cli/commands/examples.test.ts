import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../core/index.ts'
import { parseCommandLine } from '../command-line.ts'
import { arity, flagsOf } from '../flags.ts'
import { commands } from './index.ts'

/** Words of a shell line: quotes hold spaces together. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)

describe('the example of every command', () => {
  it.each(Object.keys(commands))('%s parses as written', async (name) => {
    const command = await commands[name]()
    const [program, ...words] = wordsOf(command.example.split('|').at(-1)!.trim())
    expect(program).toBe('tunesmith')
    expect(words.slice(0, name.split(' ').length).join(' ')).toBe(name)
    const line = await parseCommandLine(command, words.slice(name.split(' ').length))
    expect(line.kind).toBe('run')
  })
})

describe('wrong values of flags', () => {
  it.each(Object.keys(commands))('of %s are at most one fault each', async (name) => {
    const command = await commands[name]()
    // A wrong kind, such as `--optimizer.type x`, would hide the faults of its other settings.
    const flags = flagsOf(command.options).filter((flag) => arity(flag) !== 'switch' && flag.path.at(-1) !== 'type')
    for (const value of ['x', '-1.5', '99999999999999999999']) {
      const line = await parseCommandLine(
        command,
        flags.map((flag) => `--${flag.name}=${value}`),
      ).catch((error) => error)
      const faults = line instanceof ConfigError ? line.faults : []
      for (const flag of flags)
        expect(faults.filter((fault) => fault.includes(`\`--${flag.name}\``)).length, flag.name).toBeLessThan(2)
    }
  })
})

it('suggests a setting of an architecture for a flag without its path', async () => {
  const fault = parseCommandLine(await commands.pretrain(), ['--model.max-positions', '64'])
  await expect(fault).rejects.toThrow('Did you mean `--model.config.max-positions`?')
})
