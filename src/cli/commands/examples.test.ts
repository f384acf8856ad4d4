import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../command-line.ts'
import { commands } from './index.ts'

/** Words of a shell line: quotes hold spaces together. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)

describe('the example of every command', () => {
  it.each(Object.keys(commands))('%s reads as it stands', async (name) => {
    const command = await commands[name]()
    const [program, ...words] = wordsOf(command.example.split('|').at(-1)!.trim())
    expect(program).toBe('tunesmith')
    expect(words.slice(0, name.split(' ').length).join(' ')).toBe(name)
    const line = await parseCommandLine(command, words.slice(name.split(' ').length))
    expect(line.kind).toBe('run')
  })
})
