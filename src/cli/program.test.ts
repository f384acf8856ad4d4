import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { DataError } from '../core/index.ts'
import { type CommandContext, defineCommand } from './command.ts'
import { helpOf } from './command-help.ts'
import { commands as realCommands } from './commands/index.ts'
import { type CommandRegistry, Interruption, runProgram } from './program.ts'

const echo = defineCommand({
  name: 'echo',
  summary: 'Say it again',
  example: 'tunesmith echo hello --times 2',
  arguments: [
    { name: 'word', description: 'what to say' },
    { name: 'more', description: 'and then', variadic: true, optional: true },
  ],
  options: z.strictObject({
    times: z.number().int().min(1).max(5).default(1).describe('How often'),
    voice: z.strictObject({ pitch: z.number().default(1), name: z.string().default('low') }).prefault({}),
  }),
  run: async ({ times, voice }, { word, more }, context: CommandContext) => {
    context.log('speaking')
    context.write('…')
    return {
      said: Array.from({ length: times }, () => [word, ...more].join(' ')),
      voice,
      big: 5n,
      numbers: new Float32Array([1, 2]),
    }
  },
  render: ({ said }) => said.join('\n'),
})
const failing = defineCommand({
  name: 'data check',
  summary: 'Fail in a way',
  example: 'tunesmith data check',
  options: z.strictObject({ how: z.enum(['data', 'plain', 'code', 'system', 'full', 'abort']).default('data') }),
  async run({ how }, _args, { signal }) {
    if (how === 'data') throw new DataError('Expected JSON, got a comma.', 'x.jsonl', 3)
    if (how === 'plain') throw new TypeError('one\ntwo')
    if (how === 'system') await readdir('/no/such/folder')
    if (how === 'full') throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    if (how === 'abort') throw signal.reason
    return { equal: false }
  },
  render: () => 'They differ.',
  exitCode: ({ equal }) => (equal ? 0 : 1),
})
const commands: CommandRegistry = {
  echo: async () => echo,
  'data check': async () => failing,
  broken: async () => {
    throw new Error('no addon')
  },
}

async function run(
  argv: string[],
  signal = new AbortController().signal,
  more: Partial<Parameters<typeof runProgram>[1]> = {},
) {
  let stdout = ''
  let stderr = ''
  const terminal = { stdout: (text: string) => void (stdout += text), stderr: (text: string) => void (stderr += text) }
  const code = await runProgram(argv, { commands, version: '1.2.3', signal, terminal, ...more })
  return { code, stdout, stderr }
}

describe('runProgram', () => {
  it('renders for people, and keeps stdout for one document with --json', async () => {
    expect(await run(['echo', 'a', 'b', 'c', '--times', '2'])).toEqual({
      code: 0,
      stdout: '…a b c\na b c\n',
      stderr: 'speaking\n',
    })
    const { stdout, stderr } = await run(['echo', 'a', '--json'])
    expect(JSON.parse(stdout)).toEqual({ said: ['a'], voice: { pitch: 1, name: 'low' }, big: 5, numbers: [1, 2] })
    expect(stderr).toBe('speaking\n…')
  })

  it('says in one line what is wrong with a command line, and exits with 2', async () => {
    const cases: [string[], RegExp][] = [
      [['ecko', 'x'], /^error: Unknown command `ecko`\. Did you mean `echo`\?.*\n$/],
      [['data', 'chek'], /^error: Unknown command `data chek`\. Did you mean `data check`\?.*\n$/],
      [['echo'], /^error: Missing required argument `word`\..*\n$/],
      [['echo', 'x', '--tims', '3'], /^error: Unknown option `--tims`\. Did you mean `--times`\?.*\n$/],
      [['echo', 'x', '--times', '9'], /^error: Expected a number of at most 5 for `--times`, got 9\.\n$/],
      [['--json'], /^error: Expected a command before `--json`.*\n$/],
    ]
    for (const [argv, message] of cases) {
      const { code, stdout, stderr } = await run(argv)
      expect(stderr).toMatch(message)
      expect([code, stdout]).toEqual([2, ''])
    }
  })

  it('refuses a command that runs alone, before it does, where a launcher started several processes', async () => {
    const launched = { RANK: '1', WORLD_SIZE: '4', MASTER_ADDR: 'node01', MASTER_PORT: '29500' }
    try {
      for (const [name, value] of Object.entries(launched)) vi.stubEnv(name, value)
      expect(await run(['echo', 'x'])).toEqual({
        code: 2,
        stdout: '',
        stderr: 'error: Expected one process for `echo`, got 4 of torchrun: start it without a launcher.\n',
      })
      vi.stubEnv('WORLD_SIZE', '1')
      vi.stubEnv('RANK', '0')
      expect((await run(['echo', 'x'])).code).toBe(0)
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('lists the commands in 80 columns', async () => {
    const summary =
      'Turn bundled books, Wikipedia and web pages into a corpus, a tokenizer, shards and a small pretrained model'
    const { stdout } = await run(['--help'], undefined, { catalogue: { echo: { ...echo, summary } } as never })
    const lines = stdout.split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
    const start = lines.findIndex((line) => line.startsWith('  echo'))
    const column = lines[start].indexOf('Turn')
    expect(lines[start + 1]).toMatch(new RegExp(`^ {${column}}\\S`))
    expect(`${lines[start].slice(column)} ${lines[start + 1].trim()}`).toBe(summary)
  })

  it('turns errors into one line and an exit code of 1', async () => {
    expect(await run(['data', 'check'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'error: x.jsonl:3: Expected JSON, got a comma.\n',
    })
    expect((await run(['data', 'check', '--how', 'plain'])).stderr).toMatch(
      /^error: TypeError: one \(set TUNESMITH_DEBUG=1.*\)\n$/,
    )
    expect((await run(['data', 'check', '--how', 'system'])).stderr).toBe(
      'error: Cannot scandir `/no/such/folder`: no such file or folder.\n',
    )
    expect((await run(['data', 'check', '--how', 'full'])).stderr).toBe('error: Disk full (ENOSPC).\n')
    expect(await run(['data', 'check', '--how', 'code'])).toMatchObject({ code: 1, stdout: 'They differ.\n' })
  })

  it('exits with the code of the interruption', async () => {
    const controller = new AbortController()
    controller.abort(new Interruption(130))
    expect(await run(['data', 'check', '--how', 'abort'], controller.signal)).toMatchObject({
      code: 130,
      stderr: 'Stopped.\n',
    })
    expect(await run(['echo', 'done'], controller.signal)).toMatchObject({ code: 130, stdout: '…done\n' })
  })

  it('prints help from a catalogue without loading a command', async () => {
    const catalogue = { echo: helpOf(echo) }
    const unloadable: CommandRegistry = {
      echo: async () => {
        throw new Error('loaded')
      },
    }
    for (const argv of [
      ['echo', '--help'],
      ['help', 'echo'],
      ['echo', 'x', '-h'],
    ]) {
      expect((await run(argv, undefined, { commands: unloadable, catalogue })).stdout).toBe((await run(argv)).stdout)
    }
    expect((await run(['--help'], undefined, { commands: unloadable, catalogue })).stdout).toMatch(/echo +Say it again/)
    expect((await run(['echo', 'x'], undefined, { commands: unloadable, catalogue })).stderr).toContain('Error: loaded')
  })

  it('lists the commands, also when one cannot load', async () => {
    const { code, stdout } = await run(['--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/echo +Say it again/)
    expect(stdout).toMatch(/broken +\(cannot load: Error: no addon/)
    expect((await run(['data', '--help'])).stdout).not.toContain('echo ')
    expect(await run([])).toMatchObject({ code: 2, stdout: '' })
    expect((await run(['help', 'echo'])).stdout).toContain('$ node bin/tunesmith.js echo hello --times 2')
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: '1.2.3\n' })
  })
})

describe('recipes', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunesmith-recipe-'))
    await writeFile(join(folder, 'r.yaml'), 'times: 3\nvoice:\n  pitch: 1e-1\n')
    await writeFile(join(folder, 'r.json'), '{"times": 3, "voice": {"pitch": 0.1}}')
    await writeFile(join(folder, 'r.ts'), 'const times: number = 3\nexport default { times, voice: { pitch: 0.1 } }\n')
    await writeFile(join(folder, 'r.mjs'), 'export default { times: 3, voice: { pitch: 0.1 } }\n')
    await writeFile(join(folder, 'unknown.yaml'), 'time: 3\n')
    await writeFile(join(folder, 'broken.yaml'), 'times: 3\nvoice: [1,\n')
    await writeFile(join(folder, 'list.json'), '[1]')
    await writeFile(join(folder, 'none.ts'), 'export const times = 3\n')
    const nested = (name: string, inner: string) => `${name}: &${name} [${Array(9).fill(inner).join()}]\n`
    const levels = 'abcdefgh'.split('').map((name, i, all) => nested(name, i === 0 ? 'x' : `*${all[i - 1]}`))
    await writeFile(join(folder, 'bomb.yaml'), levels.join(''))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('reads TypeScript, JavaScript, YAML and JSON, with flags on top', async () => {
    for (const name of ['r.yaml', 'r.json', 'r.ts', 'r.mjs']) {
      const { stdout, stderr } = await run([
        'echo',
        'x',
        '--recipe',
        join(folder, name),
        '--voice.name',
        'high',
        '--times',
        '2',
        '--json',
      ])
      expect(stderr).not.toContain('error')
      expect(JSON.parse(stdout)).toMatchObject({ said: ['x', 'x'], voice: { pitch: 0.1, name: 'high' } })
    }
  })

  it('says what is wrong with a recipe and where', async () => {
    const message = async (name: string) => (await run(['echo', 'x', '--recipe', join(folder, name)])).stderr
    expect(await message('unknown.yaml')).toMatch(/unknown key `time`\. Did you mean `times`\?/)
    expect(await message('broken.yaml')).toMatch(/broken\.yaml:\d+:\d+: /)
    expect(await message('list.json')).toContain('Expected an object in the recipe')
    expect(await message('none.ts')).toContain('Expected a default export')
    expect(await message('absent.yaml')).toMatch(/Expected a readable file for `--recipe`, got .*ENOENT/)
    expect(await message('r.toml')).toContain('.yaml or .json file')
    expect(await message('bomb.yaml')).toMatch(/^error: .*Excessive alias count.*\n$/)
  })
})

describe('the registry', () => {
  it('names each command as the command names itself, with an example that starts with it', async () => {
    for (const [name, load] of Object.entries(realCommands)) {
      const command = await load()
      expect(command.name).toBe(name)
      expect(command.example).toContain(`tunesmith ${name}`)
      expect(command.summary).not.toMatch(/\.$/)
    }
  })
})
