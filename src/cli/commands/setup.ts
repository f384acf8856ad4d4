// `tunesmith setup`: the same work as `npm run setup`, for those who installed the package. The work itself is in
// scripts/setup.mjs, which must run before anything is installed and so shares no code with this folder.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { SetupError } from '../../core/index.ts'
import { defineCommand } from '../command.ts'

interface SetupResult {
  /** What libtorch was taken: its version, folder, and how it was found. */
  libtorch: { version: string; folder: string; source: string; cuda: boolean }
  addon: string
  /** True when nothing had to be done. */
  ready: boolean
  seconds: number
}

export const setup = defineCommand({
  name: 'setup',
  summary: 'Find or fetch libtorch and build the addon; quick when that is done already',
  example: 'tunesmith setup',
  options: z.strictObject({
    cuda: z.boolean().default(false).describe('Take the CUDA build of libtorch instead of the one for the CPU'),
    quiet: z.boolean().default(false).describe('Print errors only'),
  }),
  async run({ cuda, quiet }, _args, { signal }): Promise<SetupResult> {
    const script = fileURLToPath(new URL('../../../scripts/setup.mjs', import.meta.url))
    const flags = ['--json', ...(cuda ? ['--cuda'] : []), ...(quiet ? ['--quiet'] : [])]
    const child = spawn(process.execPath, [script, ...flags], { stdio: ['ignore', 'pipe', 'pipe'], signal })
    let stdout = ''
    let lastLine = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      lastLine = text.trimEnd().split('\n').at(-1) ?? lastLine
      if (!quiet && !lastLine.startsWith('error: ')) process.stderr.write(text)
    })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    if (code !== 0) throw new SetupError(lastLine.replace(/^error: /, '') || `Set-up ended with code ${code}.`)
    return JSON.parse(stdout) as SetupResult
  },
  render({ libtorch, addon, ready, seconds }) {
    const build = libtorch.cuda ? 'CUDA' : 'CPU'
    return [
      `${ready ? 'Already set up' : `Set up in ${seconds.toFixed(1)} s`}.`,
      `libtorch  ${libtorch.version} (${build}), ${libtorch.source}: ${libtorch.folder}`,
      `addon     ${addon}`,
    ].join('\n')
  },
})
