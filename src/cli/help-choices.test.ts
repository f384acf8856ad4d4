import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineCommand } from './command.ts'
import { helpOf, helpText } from './command-help.ts'
import { commands } from './commands/index.ts'
import { wrapExample, wrapNote } from './help-choices.ts'

const paint = defineCommand({
  name: 'paint',
  summary: 'Paint a wall',
  example: 'tunesmith paint --wall north --tool brush',
  notes: ['  oil    a paint that dries slowly, smells of turpentine and must be thinned before it is used again'],
  choices: () => [
    {
      choice: 'tool',
      part: 'settings',
      schemas: {
        brush: z.strictObject({ width: z.number().optional().describe('width of the brush') }),
        roller: z.strictObject({}),
      },
    },
  ],
  options: z.strictObject({
    wall: z.string().describe('wall to paint'),
    tool: z.enum(['brush', 'roller']).default('brush').describe('tool to paint with'),
    settings: z.record(z.string(), z.unknown()).default({}).describe('settings of the tool'),
    colour: z
      .discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('grey'),
          level: z.number().default(1).describe('share of white'),
          coats: z.int().default(2).describe('number of coats'),
        }),
        z.strictObject({
          type: z.literal('red'),
          shade: z.string().default('deep').describe('shade of red'),
          coats: z.int().default(2).describe('number of coats'),
        }),
      ])
      .prefault({ type: 'grey' })
      .describe('colour'),
  }),
  run: async () => ({}),
})

describe('the help of a command with choices', () => {
  const help = helpOf(paint)

  it('leaves out what depends on a choice, and names the choices with an example', () => {
    const text = helpText(help)
    for (const flag of ['--wall <text>', '--tool <brush|roller>', '--colour.type', '--colour.coats'])
      expect(text).toContain(flag)
    for (const flag of ['--settings.width', '--colour.level', '--colour.shade']) expect(text).not.toContain(flag)
    expect(text).toMatch(/paint --help --tool brush\n {2}--tool brush\n {2}--colour\.type grey, red\n/)
  })

  it('shows the flags of the choices that the command line makes, and only those', () => {
    const brush = helpText(help, ['--help', '--tool', 'brush', '--colour.type=red'])
    expect(brush).toMatch(/--settings\.width <n> +width of the brush/)
    expect(brush).toContain('--colour.shade')
    for (const flag of ['--wall <text>', '--colour.level', '--colour.coats']) expect(brush).not.toContain(flag)
    expect(helpText(help, ['--help', '--tool', 'spoon'])).toBe(helpText(help))
  })

  it('wraps notes below their last column', () => {
    expect(wrapNote(paint.notes![0])).toEqual([
      '  oil    a paint that dries slowly, smells of turpentine and must be thinned',
      '         before it is used again',
    ])
  })

  it('breaks a long example before a flag, as a shell reads it', () => {
    const call =
      'npx tunesmith paint --wall "the wall -- of the north" --tool brush --colour.type red --colour.shade deep'
    const lines = wrapExample(call)
    expect(lines).toEqual([
      '  $ npx tunesmith paint --wall "the wall -- of the north" --tool brush \\',
      '      --colour.type red --colour.shade deep',
    ])
    expect(wrapExample('npx tunesmith doctor')).toEqual(['  $ npx tunesmith doctor'])
  })
})

describe('the help of every command', () => {
  // The longest is that of `plan align`, which has the flags of `align` and its own.
  it('has less than 560 lines of at most 80 columns, and every choice has a page', async () => {
    for (const [name, load] of Object.entries(commands)) {
      const page = helpOf((await load()) as never)
      const lines = helpText(page).split('\n')
      expect(lines.length, name).toBeLessThan(560)
      const wide = lines.filter((line) => line.length > 80 && /\S \S/.test(line) && !line.startsWith('Usage'))
      expect(wide, name).toEqual([])
      for (const { choice, types } of page.choices)
        for (const [type, flags] of Object.entries(types)) {
          const shown = helpText(page, ['--help', `--${choice}`, type])
          for (const flag of flags) expect(shown).toContain(flag.on ? `--no-${flag.name}` : `--${flag.name}`)
        }
    }
  })
})
