// `tunesmith pull`: downloads a repository of the Hub. The work is `pullFolder` of src/checkpoint.
import { z } from 'zod'
import { pullFolder } from '../../checkpoint/index.ts'
import { formatBytes } from '../../core/index.ts'
import { defineCommand } from '../command.ts'
import { textField } from '../parts/fields.ts'

export const pull = defineCommand({
  name: 'pull',
  summary: 'Download all files of a repository of the Hub into a folder',
  example: 'tunesmith pull owner/support-bot --out support-bot',
  arguments: [{ name: 'repository', description: 'repository of the Hub: owner/name' }],
  processes: 'first',
  options: z.strictObject({
    out: z.string().describe('folder for the files; it appears when all have arrived'),
    revision: textField('branch, tag or commit (default: main)'),
  }),
  run: (options, { repository }, { signal, log }) =>
    pullFolder({ name: repository, ...options }, { signal, onProgress: log }),
  render: ({ out, files }) =>
    files.map(({ path, bytes }) => `${formatBytes(bytes).padStart(9)}  ${out}/${path}`).join('\n'),
})
